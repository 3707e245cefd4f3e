"""Images on top of images: bases, locks, rebasing."""

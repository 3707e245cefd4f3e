"""The page about an image."""

"""Commands that check an image."""

"""Commands that look into an image."""

"""Options of commands that look into an image."""

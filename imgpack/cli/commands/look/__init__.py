"""Commands that look into an image: its files, its history, what takes the space."""

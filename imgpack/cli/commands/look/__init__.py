"""Commands that look into images."""

"""Commands that make an image of another one; one file a command."""

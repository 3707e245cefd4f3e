"""What is hardly meant to be in an image: by its name, and by what a text says."""

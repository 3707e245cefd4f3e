"""What is wrong with an image, or will be where it runs, by rules with names."""

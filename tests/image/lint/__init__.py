"""What is wrong with images."""

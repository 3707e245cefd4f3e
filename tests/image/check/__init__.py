"""The checks of images."""

"""The files of images."""

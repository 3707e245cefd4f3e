"""The files of an image, as its layers make them."""

"""Options of images of several platforms, and of what is said of them."""

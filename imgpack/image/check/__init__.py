"""Whether an image is sound: all of it is looked at, and all problems are told."""

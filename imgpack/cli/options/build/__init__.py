"""The options of ``build``: what goes in, what is done to it, what the image says."""

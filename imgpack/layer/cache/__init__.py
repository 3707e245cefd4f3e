"""The segment cache: compressed segments and whole layers, by what they were made of."""

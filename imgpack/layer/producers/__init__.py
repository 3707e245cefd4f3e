"""More than one process that reads a tree: what they are given, what they hand back, in order."""

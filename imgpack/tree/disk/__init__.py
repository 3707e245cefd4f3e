"""A directory on disk as a tree: the walk, its snapshots, and whether times prove anything."""

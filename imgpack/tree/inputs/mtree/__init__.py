"""Lists of files in the form of mtree(5): read, laid over a tree, or a tree themselves."""

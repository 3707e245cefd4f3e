"""A project file: what it is, how it is found and read, and what ``--set`` sets in it."""

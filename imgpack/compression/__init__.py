"""How bytes are compressed and read back: one codec a file."""

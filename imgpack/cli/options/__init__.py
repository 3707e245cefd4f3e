"""What several commands take, and what comes of it: the reader of environment and clock."""

"""The combined Docker and OCI tar archive, written and read."""

"""Where images rest: the combined Docker and OCI tar archive, and the OCI layout directory."""

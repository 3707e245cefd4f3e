"""The OCI image layout directory, written and read."""

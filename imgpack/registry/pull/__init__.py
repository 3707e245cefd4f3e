"""Images on their way out of a registry."""

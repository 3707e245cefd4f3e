"""Images that are changed without being built again: their documents, layers, names."""

"""Blobs and documents on their way to a registry."""

"""Trees written to disk."""

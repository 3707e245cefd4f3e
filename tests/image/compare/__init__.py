"""Images side by side."""

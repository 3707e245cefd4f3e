"""What may stand in a project file: its keys, and the kinds of their values."""

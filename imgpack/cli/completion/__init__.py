"""What a shell offers when somebody presses Tab: options, values, names, and its own files."""

"""Pages for the terminal on what goes across commands, a file each."""

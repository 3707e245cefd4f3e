"""The command line: one file a command, and the only reader of environment, clock and terminal."""

"""Commands about the command line itself: its help, and completion in a shell."""

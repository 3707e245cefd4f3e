"""Commands about container engines; one file a command."""

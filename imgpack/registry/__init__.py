"""Where images go: connections, credentials and the registry protocol."""

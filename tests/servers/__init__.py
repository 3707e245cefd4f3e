"""Real programs as test servers: each starts on a free loopback port and is always stopped."""

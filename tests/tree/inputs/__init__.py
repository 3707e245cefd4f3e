"""Trees from other inputs."""

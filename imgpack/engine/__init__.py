"""Container engines of this machine, through their commands: docker, podman, containerd, kind."""

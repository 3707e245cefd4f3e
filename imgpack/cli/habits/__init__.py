"""What people type who know docker, buildx, podman, skopeo or crane, and what to write instead."""

"""Schema1 manifests, made from a v2 image, and their signatures."""

"""Files that appear whole or not at all, blobs under their digests, and work in parallel."""

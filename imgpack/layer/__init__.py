"""How a tree becomes a layer: tar encoding, content-cut segments, codecs, pipeline, cache."""

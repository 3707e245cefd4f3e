"""How a tree becomes a layer: tar framing, content-cut segments, codecs, pipeline, cache."""

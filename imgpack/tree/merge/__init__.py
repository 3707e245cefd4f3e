"""Trees on top of trees: what layers make together, and how the next one is written over them."""

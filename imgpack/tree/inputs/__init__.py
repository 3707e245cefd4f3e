"""Trees from other inputs: archives, lists, upper directories."""

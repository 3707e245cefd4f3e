"""What is left out of a tree, and what is written otherwise: patterns, owners, modes."""

"""Tar: headers written to the byte, archives read with bounds."""

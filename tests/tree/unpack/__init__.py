"""Tests of trees that are written to disk."""

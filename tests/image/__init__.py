"""Tests of images as values, whatever they are read from and written to."""

"""Tests of what goes into an image."""

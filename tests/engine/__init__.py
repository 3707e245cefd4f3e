"""Tests of loading into container engines."""

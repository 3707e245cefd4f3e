"""Tests of what appears whole, and of work in parallel."""

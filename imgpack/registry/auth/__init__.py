"""Answering a registry's challenge."""

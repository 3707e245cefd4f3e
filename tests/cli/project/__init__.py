"""Tests of imgpack.toml."""

"""Tests of tar headers and reading."""

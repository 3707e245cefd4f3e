"""Tests of tar framing and reading."""

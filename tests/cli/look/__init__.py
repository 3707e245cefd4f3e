"""Tests of commands that look into images."""

"""Tests of images that are changed without a build."""

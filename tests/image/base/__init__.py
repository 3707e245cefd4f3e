"""Tests of images that others are built on."""

"""Tests of the layer format and its pipeline."""

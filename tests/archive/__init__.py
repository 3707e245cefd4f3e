"""Tests of the archive and layout formats."""

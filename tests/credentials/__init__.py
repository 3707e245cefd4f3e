"""Tests of credentials and where they lie."""

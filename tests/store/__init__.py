"""Tests of archives and layouts."""

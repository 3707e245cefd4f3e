"""Tests of what decides about entries: patterns and rules."""

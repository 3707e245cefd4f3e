"""Tests with the real programs: engines, registries, copiers, and a real Debian tree."""

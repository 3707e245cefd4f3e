"""Tests of trees on top of trees."""

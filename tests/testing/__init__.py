"""Tests of what the package offers for its users' tests."""

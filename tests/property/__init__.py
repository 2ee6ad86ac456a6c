"""Tests with generated input."""

"""Tests of the running engine."""

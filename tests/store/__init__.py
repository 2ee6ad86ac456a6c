"""Tests of the store and the embedded database."""

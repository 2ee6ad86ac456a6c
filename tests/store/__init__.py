"""Tests of what touches the database."""

"""Placeholders in requests, and their values."""

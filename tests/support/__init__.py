"""Servers, databases and conditions that several tests use."""

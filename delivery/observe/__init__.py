"""Logging of the program."""

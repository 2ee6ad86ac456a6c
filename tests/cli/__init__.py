"""Tests of the command line, run as a separate program."""

"""Tests of the command line, run as people run it: as a program of its own."""

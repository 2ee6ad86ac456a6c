"""Benchmarks: one runner, `python -m bench NAME --json`, one JSON line a figure.

Absolute figures depend on the machine. Alternatives that are compared run alternately.
"""

"""Benchmarks: one runner, `python -m bench NAME --json`, one JSON line a figure.

Absolute figures depend on the machine; what is compared runs side by side, in turns.
"""

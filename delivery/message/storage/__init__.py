"""Stored forms of calls, payloads and exchanges, and their encryption."""

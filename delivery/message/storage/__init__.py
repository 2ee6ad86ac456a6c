"""The stored form of calls, payloads and exchanges, and its encryption."""

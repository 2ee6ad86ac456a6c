"""The request that is sent: URL, head, body, payload."""

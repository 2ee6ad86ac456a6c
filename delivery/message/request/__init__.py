"""Parts of an HTTP request: URL, head, body, payload."""

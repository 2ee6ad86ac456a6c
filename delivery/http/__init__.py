"""HTTP/1.1 client: guarded addresses, one deadline, size limits, timings. Failures are data."""

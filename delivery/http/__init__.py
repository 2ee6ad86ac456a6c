"""HTTP/1.1 exchanges: judged addresses, one deadline, caps, timings; failures are data."""

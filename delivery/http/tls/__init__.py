"""TLS: contexts, sessions, handshakes and errors."""

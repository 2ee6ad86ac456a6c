"""What is sent, and what of it may be stored: payload, request, signature, redaction; pure."""

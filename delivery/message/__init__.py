"""Requests and their stored form: payload, template, signature, redaction, encryption; no I/O."""

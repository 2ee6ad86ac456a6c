"""The removal of secrets from stored and displayed text."""

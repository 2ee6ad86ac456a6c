"""Adapters between the engine's transport and httpx."""

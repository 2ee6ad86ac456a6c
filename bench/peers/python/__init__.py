"""The Python peers, one module each; their environment has none of the engine's packages."""

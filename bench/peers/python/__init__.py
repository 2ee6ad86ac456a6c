"""The Python peers, one module each; they run in an environment that has none of our packages."""

"""Version of the package. A constant, because a search in the installed packages is slow."""

from __future__ import annotations

__all__ = ["VERSION"]

VERSION = "0.1.0"

"""The version: kept here alone, so that nothing need search the installed packages for it."""

from __future__ import annotations

__all__ = ["VERSION"]

VERSION = "0.1.0"

"""The width of the terminal."""

from __future__ import annotations

import os

__all__ = ["columns"]


def columns() -> int:
    """Return the terminal's width, or 100 where there is none."""
    try:
        return os.get_terminal_size(1).columns
    except OSError:
        return 100

"""Numbers in messages: plurals, and figures without exponents. Pure."""

from __future__ import annotations

from decimal import Decimal
from math import isfinite
from typing import Final

__all__ = ["counted", "is_or_are", "plain_number"]

_HUGE: Final = 1e15
"""Longer numbers are easier to read with an exponent."""


def counted(count: int, noun: str, plural: str | None = None) -> str:
    """Return `1 job`, `2 jobs` or `1,200 jobs`."""
    return f"{count:,} {noun if count == 1 else plural or f'{noun}s'}"


def is_or_are(count: int) -> str:
    """Return the verb for so many things: `1 row is`, `2 rows are`."""
    return "is" if count == 1 else "are"


def plain_number(value: float) -> str:
    """Return a number without exponent and without needless zeros: `2592000`, `0.5`, `0.00001`."""
    if not isfinite(value) or abs(value) >= _HUGE:
        return str(value)
    if float(value).is_integer():
        return str(int(value))
    return f"{Decimal(f'{value:.9g}'):f}".rstrip("0")

"""Numbers in messages: plurals, and decimals without exponents. Pure."""

from __future__ import annotations

from decimal import Decimal
from math import isfinite
from typing import Final

__all__ = ["counted", "is_or_are", "plain_number", "round_milliseconds"]

_HUGE: Final = 1e15
"""Limit above which numbers are easier to read with an exponent."""


def counted(count: int, noun: str, plural: str | None = None) -> str:
    """Return `1 job`, `2 jobs` or `1,200 jobs`."""
    return f"{count:,} {noun if count == 1 else plural or f'{noun}s'}"


def is_or_are(count: int) -> str:
    """Return the verb for a number of things: `1 row is`, `2 rows are`."""
    return "is" if count == 1 else "are"


def plain_number(value: float) -> str:
    """Return a number without exponent and trailing zeros: `2592000`, `0.5`, `0.00001`."""
    if not isfinite(value) or abs(value) >= _HUGE:
        return str(value)
    if float(value).is_integer():
        return str(int(value))
    text = f"{Decimal(f'{value:.9g}'):f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def round_milliseconds(value: float | None) -> float | None:
    """Round milliseconds to about three digits: `120.3`, `12.3`, `1.23`, `0.123`."""
    if value is None:
        return None
    return round(value, 1 if value >= 10 else 2 if value >= 1 else 3)  # noqa: PLR2004 - digits

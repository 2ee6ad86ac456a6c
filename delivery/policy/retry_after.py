"""The header Retry-After (RFC 9110, 10.2.3): how long a server asks to be left alone."""

from __future__ import annotations

import re
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Final

__all__ = ["parse_retry_after", "retry_after_of"]

_LONGEST: Final = 10 * 365 * 86_400.0
"""Ten years: a longer wait is cut to this, so that no sum of it and a time overflows."""

_LONGEST_VALUE: Final = 128
_SECONDS: Final = re.compile(r"[+-]?[0-9]+(?:\.[0-9]*)?")
_FIELD: Final = re.compile(rb"\nretry-after:([^\r\n]*)", re.IGNORECASE)


def retry_after_of(head: bytes, now: float) -> float | None:
    """Seconds that the response with this head (status line, headers) asks to wait, or None."""
    found = _FIELD.search(head)
    return None if found is None else parse_retry_after(found[1], now)


def parse_retry_after(value: bytes | str, now: float) -> float | None:
    """Seconds from `now` that a Retry-After header asks to wait.

    Args:
        value: The header's value: seconds, or a date in any of the three forms of HTTP.
        now: Seconds since the epoch.

    Returns:
        At least 0, also for a date in the past or a negative number; None if it is neither.
    """
    text = value.decode("latin-1") if isinstance(value, bytes) else value
    text = text.strip(" \t")
    if len(text) > _LONGEST_VALUE:
        return None
    if _SECONDS.fullmatch(text):
        seconds = float(text)
    else:
        instant = _parse_date(text)
        if instant is None:
            return None
        seconds = instant - now
    return min(max(seconds, 0.0), _LONGEST)


def _parse_date(text: str) -> float | None:
    try:
        instant = parsedate_to_datetime(text)
        # All dates of HTTP are in GMT; the form of asctime does not say so.
        return (instant if instant.tzinfo else instant.replace(tzinfo=UTC)).timestamp()
    except (IndexError, OverflowError, TypeError, ValueError):
        # The standard library's parser lets all of these through for one or another malformed date.
        return None

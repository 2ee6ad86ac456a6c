"""Parser of the Retry-After header (RFC 9110, section 10.2.3)."""

from __future__ import annotations

import re
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Final

__all__ = ["parse_retry_after", "retry_after_of"]

_LONGEST: Final = 10 * 365 * 86_400.0
"""Upper bound of a delay: ten years. Prevents an overflow when the delay is added to a time."""

_LONGEST_VALUE: Final = 128
_SECONDS: Final = re.compile(r"[+-]?[0-9]+(?:\.[0-9]*)?")
_FIELD: Final = re.compile(rb"\nretry-after:([^\r\n]*)", re.IGNORECASE)


def retry_after_of(head: bytes, now: float) -> float | None:
    """Return the Retry-After delay of a response in seconds, or None.

    Args:
        head: Status line and headers of the response.
        now: Current time, in seconds since the epoch.
    """
    found = _FIELD.search(head)
    return None if found is None else parse_retry_after(found[1], now)


def parse_retry_after(value: bytes | str, now: float) -> float | None:
    """Parse the value of a Retry-After header.

    Args:
        value: Number of seconds, or a date in any of the three formats of HTTP.
        now: Current time, in seconds since the epoch.

    Returns:
        Delay from `now` in seconds. 0 for a past date or a negative number, None if the value is
        neither a number nor a date.
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
        # Dates in HTTP are always in GMT. The asctime format omits the zone.
        return (instant if instant.tzinfo else instant.replace(tzinfo=UTC)).timestamp()
    except (IndexError, OverflowError, TypeError, ValueError):
        # The parser of the standard library raises each of these for some malformed date.
        return None

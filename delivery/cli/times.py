"""Times and durations as text."""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta
from typing import Final

__all__ = ["duration", "moment"]

_DAY: Final = timedelta(days=1)


def moment(value: datetime) -> str:
    """Return a local time, with the date if it is more than a day from now.

    Without a terminal it is ISO 8601.
    """
    if not sys.stdout.isatty():
        from delivery.rendering import iso_time

        return iso_time(value)
    local = value.astimezone()
    near = abs(datetime.now(UTC) - value) < _DAY
    return f"{local:%H:%M:%S}" if near else f"{local:%Y-%m-%d %H:%M}"


def duration(milliseconds: float | None) -> str:
    """Return `0.8`, `12` or `1,203`: milliseconds, with a fraction below 10."""
    if milliseconds is None:
        return ""
    return f"{milliseconds:.1f}" if milliseconds < 10 else f"{milliseconds:,.0f}"  # noqa: PLR2004 - one digit

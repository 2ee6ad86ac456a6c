"""Reduction of results that the database refuses to values it accepts: pure functions."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, TypeVar

from delivery.clock import Clock, IdFactory

if TYPE_CHECKING:
    from delivery.store.settlements import Settlement

__all__ = ["day_of", "days_between", "redated", "with_storable_values", "without_exchange"]

N = TypeVar("N", int, float)

_DAY: Final = 86_400
_MAX_INTEGER: Final = 2**31 - 1
_MAX_SMALL: Final = 2**15 - 1
_MAX_REAL: Final = 3e38
_SLACK: Final = 1.0
"""Seconds by which clocks may differ."""
_MAX_REASON: Final = 1_000


def day_of(result: Settlement) -> int | None:
    """Return the day since the epoch to which the log row belongs; None: there is no log row."""
    return None if result.log_id is None else (result.log_id.int >> 80) // (_DAY * 1000)


def days_between(day: int, now: float) -> int:
    """Return the number of days between a day and today."""
    return abs(day - int(now // _DAY))


def redated(result: Settlement, now: float) -> Settlement:
    """Return the result with a log id of today, and without times of a clock that was ahead.

    The former id belongs to a day without a partition, so no row with it was ever written.
    """
    # Use a separate factory: a factory that has seen a wrong time stays ahead of the clock.
    changed = result._replace(log_id=IdFactory(Clock(now - Clock().now())).new())
    ahead = result.finished_at - now
    if ahead <= _SLACK:
        return changed
    run_at = None if result.run_at is None else result.run_at - ahead
    return changed._replace(finished_at=now, run_at=run_at)


def with_storable_values(result: Settlement) -> Settlement:
    """Return the result with strings and numbers that every database can store.

    Characters outside ASCII are escaped, because the encoding of the database may be the reason.
    Bodies and heads are bytes, which are never refused.
    """
    return result._replace(
        error=_escaped(result.error),
        method=_escaped(result.method),
        endpoint=_escaped(result.endpoint),
        remote_address=_escaped(result.remote_address),
        status_code=_within(result.status_code, _MAX_SMALL),
        duration_ms=_within(result.duration_ms, _MAX_REAL),
        dns_ms=_within(result.dns_ms, _MAX_REAL),
        connect_ms=_within(result.connect_ms, _MAX_REAL),
        tls_ms=_within(result.tls_ms, _MAX_REAL),
        send_ms=_within(result.send_ms, _MAX_REAL),
        first_byte_ms=_within(result.first_byte_ms, _MAX_REAL),
        request_size=_within(result.request_size, _MAX_INTEGER),
        response_size=_within(result.response_size, _MAX_INTEGER),
    )


def _escaped(text: str | None) -> str | None:
    if text is None:
        return None
    return text.encode("ascii", "backslashreplace").decode("ascii").replace("\0", "\\x00")


def _within(number: N | None, most: float) -> N | None:
    if number is None or not math.isfinite(number) or abs(number) > most:
        return None
    return number


def without_exchange(result: Settlement, reason: str) -> Settlement:
    """Return the result with only values that the database cannot refuse."""
    return with_storable_values(result)._replace(
        error=_escaped(f"the exchange could not be stored: {reason}"[:_MAX_REASON]),
        method="?",
        endpoint="?",
        duration_ms=None,
        dns_ms=None,
        connect_ms=None,
        tls_ms=None,
        send_ms=None,
        first_byte_ms=None,
        remote_address=None,
        request_head=None,
        request_body=None,
        request_size=None,
        response_head=None,
        response_body=None,
        response_size=None,
    )

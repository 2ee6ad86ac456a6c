"""Rate, concurrency and ordering limits of a reaction across all workers.

The generic cell rate algorithm (ITU-T I.371, appendix A) enforces the rate. It spaces calls evenly,
with a tolerance for calls due within the same 20 ms, which may start together. Its only state is
one timestamp.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from delivery.errors import InvalidReaction
from delivery.models import RateLimit
from delivery.wording import plain_number

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "HELD_PRIORITY",
    "FirstWaiting",
    "Grant",
    "LaneLimits",
    "build_rate_limit",
    "grant",
    "next_due",
    "rate_room",
]

HELD_PRIORITY: Final = -1
"""Priority of a failed job that waits in an ordered lane, ahead of all other jobs. Reactions cannot
use this priority, so a row with it at the front means that the lane is held."""

_AT_ONCE: Final = 0.02
"""Burst tolerance in seconds: calls due within it may start together."""

_HIGHEST: Final = 1_000_000
_SHORTEST: Final = 0.001
_LONGEST: Final = 86_400.0
_PERIODS: Final = {"s": 1.0, "m": 60.0, "min": 60.0, "h": 3_600.0, "d": 86_400.0}
_RATE: Final = re.compile(r"\s*(\d+)\s*/\s*(\d+(?:\.\d+)?)?\s*(s|min|m|h|d)\s*", re.ASCII)


@dataclass(frozen=True, slots=True)
class LaneLimits:
    """Limits of one reaction across all workers."""

    concurrency: int | None
    rate: RateLimit | None
    ordered: bool
    paused_until: float = 0.0
    """End of the pause, in seconds since the epoch. No call starts before it."""
    probing: bool = False
    """True while the circuit is half open: only one call at a time probes the endpoint."""


@dataclass(frozen=True, slots=True)
class FirstWaiting:
    """First waiting job of a lane: its priority, and the seconds until it is due."""

    priority: int
    due_in: float


@dataclass(frozen=True, slots=True)
class Grant:
    """Decision on a claim request: the number of jobs that may be claimed now."""

    quota: int
    retry_in: float | None
    """Seconds until more jobs may be granted. None if unknown, or if a call must end first."""
    priority: int | None = None
    """Most urgent priority that is due. None if unknown."""


def grant(
    limits: LaneLimits,
    wanted: int,
    *,
    in_flight: int,
    first: FirstWaiting | None,
    next_at: float,
    now: float,
) -> Grant:
    """Decide on a request to claim `wanted` jobs of a lane.

    Args:
        limits: Limits of the lane.
        wanted: Number of jobs that the claimer has room for.
        in_flight: Number of running calls of the lane across all workers.
        first: First waiting job of the lane. None if no job waits.
        next_at: Last result of `next_due`, in seconds since the epoch.
        now: Current time, in seconds since the epoch.
    """
    if first is None:
        return Grant(0, None)
    if limits.paused_until > now:
        return Grant(0, limits.paused_until - now)
    quota = wanted
    if limits.concurrency is not None:
        quota = min(quota, limits.concurrency - in_flight)
    if limits.ordered or limits.probing:
        quota = min(quota, 1 - in_flight)
    if quota <= 0:
        return Grant(0, None)
    if limits.ordered and first.priority == HELD_PRIORITY and first.due_in > 0:
        return Grant(0, first.due_in)
    if limits.rate is not None:
        room = rate_room(limits.rate, next_at, now)
        if room <= 0:
            return Grant(0, _wait(limits.rate, next_at, now))
        quota = min(quota, room)
    return Grant(quota, None, first.priority if first.due_in <= 0 else None)


def rate_room(rate: RateLimit, next_at: float, now: float) -> int:
    """Return the number of calls that may start at `now`."""
    interval, at_once = _spacing(rate)
    ahead = max(next_at - now, 0.0)
    # The small term compensates for timestamps that were rounded to microseconds.
    return max(0, at_once - math.ceil(ahead / interval - 1e-6))


def next_due(rate: RateLimit, next_at: float, now: float, taken: int) -> float:
    """Return the due time of the next call after `taken` more calls.

    Store the result and pass it to the next decision as `next_at`.
    """
    interval, _ = _spacing(rate)
    return max(next_at, now) + taken * interval


def _wait(rate: RateLimit, next_at: float, now: float) -> float:
    interval, at_once = _spacing(rate)
    return max(next_at - now - (at_once - 1) * interval, 0.001)


def _spacing(rate: RateLimit) -> tuple[float, int]:
    """Return the interval between calls and the size of a burst.

    A burst of n calls followed by one call per interval adds n - 1 calls to a period. The interval
    is therefore longer than period / limit by the factor that compensates for them.
    """
    at_once = 1 + int(rate.limit / rate.period * _AT_ONCE)
    at_once = min(at_once, max(1, rate.limit // 2))
    return rate.period / (rate.limit - at_once + 1), at_once


def build_rate_limit(given: RateLimit | Mapping[str, object] | str | None) -> RateLimit | None:
    """Parse and validate a rate limit.

    Args:
        given: A `RateLimit`, a mapping such as `{"limit": 100, "period": 60}`, or a string such as
            `100/s`, `10/min`, `1000/h` or `5/10s`. `none` or None for no limit. Periods are in
            seconds, up to a day.

    Raises:
        InvalidReaction: if the format is unknown or a value is out of range.
    """
    if given is None or given == "none":
        return None
    rate = _read(given)
    # Callers can pass values of any type, despite the annotations.
    limit: Any = rate.limit
    period: Any = rate.period
    if isinstance(limit, bool) or not isinstance(limit, int) or not 1 <= limit <= _HIGHEST:
        message = f"rate_limit: limit is {limit!r}, but must be a whole number from 1 to {_HIGHEST}"
        raise InvalidReaction(message)
    is_number = isinstance(period, (int, float)) and not isinstance(period, bool)
    if not is_number or not _SHORTEST <= period <= _LONGEST:
        message = (
            f"rate_limit: period is {period!r},"
            f" but must be from {plain_number(_SHORTEST)} to {plain_number(_LONGEST)} seconds"
        )
        raise InvalidReaction(message)
    return RateLimit(limit, float(period))


def _read(given: RateLimit | Mapping[str, object] | str) -> RateLimit:
    if isinstance(given, RateLimit):
        return given
    if isinstance(given, str):
        found = _RATE.fullmatch(given)
        if found is None:
            message = f"rate_limit is {given!r}, but must look like 100/s, 10/min, 1000/h or 5/10s"
            raise InvalidReaction(message)
        count, several, unit = found.groups()
        return RateLimit(int(count), float(several or 1) * _PERIODS[unit])
    values: Any = given
    try:
        return RateLimit(**values)
    except TypeError:
        message = f'rate_limit is {given!r}, but must be like {{"limit": 100, "period": 60}}'
        raise InvalidReaction(message) from None

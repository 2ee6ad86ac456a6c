"""How many calls of a limited reaction may begin now, over all workers together.

The rate is held by the generic cell rate algorithm (ITU-T I.371, appendix A): calls are due at even
intervals, and a small tolerance lets those that fall into the same 20 ms begin at once. All that
must be kept between two decisions is one time.
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
"""The priority under which a job that failed waits in an ordered lane: before all others. No
reaction can ask for it, so such a row at the front says that the lane is held."""

_AT_ONCE: Final = 0.02
"""Seconds of which the calls may begin together."""

_HIGHEST: Final = 1_000_000
_SHORTEST: Final = 0.001
_LONGEST: Final = 86_400.0
_PERIODS: Final = {"s": 1.0, "m": 60.0, "min": 60.0, "h": 3_600.0, "d": 86_400.0}
_RATE: Final = re.compile(r"\s*(\d+)\s*/\s*(\d+(?:\.\d+)?)?\s*(s|min|m|h|d)\s*", re.ASCII)


@dataclass(frozen=True, slots=True)
class LaneLimits:
    """What one reaction's calls must keep to, over all workers together."""

    concurrency: int | None
    rate: RateLimit | None
    ordered: bool
    paused_until: float = 0.0
    """Until when no call may begin, in seconds since the epoch."""
    probing: bool = False
    """Whether one call at a time tries if the endpoint works again."""


@dataclass(frozen=True, slots=True)
class FirstWaiting:
    """The job at the front of a lane: its priority, and in how many seconds it is due."""

    priority: int
    due_in: float


@dataclass(frozen=True, slots=True)
class Grant:
    """How many jobs may be claimed now."""

    quota: int
    retry_in: float | None
    """Seconds after which more may be granted; None: when a call ends, or not known."""
    priority: int | None = None
    """The most urgent priority that is due; None: not known."""


def grant(
    limits: LaneLimits,
    wanted: int,
    *,
    in_flight: int,
    first: FirstWaiting | None,
    next_at: float,
    now: float,
) -> Grant:
    """Decide on a request for `wanted` jobs of a lane.

    Args:
        limits: What the lane must keep to.
        wanted: How many jobs the claimer has room for.
        in_flight: Calls of the lane that are held by any worker.
        first: The lane's first waiting job; None: nothing waits.
        next_at: What `next_due` gave last, in seconds since the epoch.
        now: In seconds since the epoch.
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
    """How many calls may begin at `now`."""
    interval, at_once = _spacing(rate)
    ahead = max(next_at - now, 0.0)
    # The hair's breadth makes up for times that were rounded to microseconds.
    return max(0, at_once - math.ceil(ahead / interval - 1e-6))


def next_due(rate: RateLimit, next_at: float, now: float, taken: int) -> float:
    """When the call after these `taken` would be due at even intervals; to be kept."""
    interval, _ = _spacing(rate)
    return max(next_at, now) + taken * interval


def _wait(rate: RateLimit, next_at: float, now: float) -> float:
    interval, at_once = _spacing(rate)
    return max(next_at - now - (at_once - 1) * interval, 0.001)


def _spacing(rate: RateLimit) -> tuple[float, int]:
    """The interval between calls, and how many may begin at once.

    n at once and then one each interval make n - 1 more within a period than the intervals alone;
    so the interval is as much longer as keeps the whole within the limit.
    """
    at_once = 1 + int(rate.limit / rate.period * _AT_ONCE)
    at_once = min(at_once, max(1, rate.limit // 2))
    return rate.period / (rate.limit - at_once + 1), at_once


def build_rate_limit(given: RateLimit | Mapping[str, object] | str | None) -> RateLimit | None:
    """A checked rate limit from what users write.

    Args:
        given: A `RateLimit`; `{"limit": 100, "period": 60}`; or a text such as `100/s`, `10/min`,
            `1000/h` or `5/10s`; `none` for no limit. Periods are in seconds, up to a day.

    Raises:
        InvalidReaction: if it is of another form or out of range.
    """
    if given is None or given == "none":
        return None
    rate = _read(given)
    # Users' values, whatever the annotations say.
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

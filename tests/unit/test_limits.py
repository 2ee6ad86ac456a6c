"""Tests of limits across all workers."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from delivery.errors import InvalidReaction
from delivery.models import RateLimit
from delivery.policy.lane_limits import (
    HELD_PRIORITY,
    FirstWaiting,
    Grant,
    LaneLimits,
    build_rate_limit,
    grant,
    next_due,
    rate_room,
)

DUE = FirstWaiting(100, -1.0)
NOW = 1_700_000_000.0


def granted(limits: LaneLimits, wanted: int = 50, **changes: Any) -> Grant:
    state: dict[str, Any] = {"in_flight": 0, "first": DUE, "next_at": 0.0, "now": NOW}
    return grant(limits, wanted, **{**state, **changes})


def test_concurrency_counts_the_calls_in_flight_of_all_workers() -> None:
    limits = LaneLimits(5, None, ordered=False)
    assert granted(limits).quota == 5
    assert granted(limits, in_flight=3).quota == 2
    assert granted(limits, in_flight=5).quota == 0
    assert granted(limits, in_flight=9).quota == 0, "the limit was lowered during the calls"
    assert granted(limits, 1).quota == 1


def test_an_ordered_lane_grants_one_job_at_a_time() -> None:
    limits = LaneLimits(None, None, ordered=True)
    assert granted(limits).quota == 1
    assert granted(limits, in_flight=1).quota == 0


def test_a_failed_job_holds_its_ordered_lane_until_its_retry_is_due() -> None:
    limits = LaneLimits(None, None, ordered=True)
    held = granted(limits, first=FirstWaiting(HELD_PRIORITY, 12.5))
    assert (held.quota, held.retry_in) == (0, 12.5)
    due = granted(limits, first=FirstWaiting(HELD_PRIORITY, 0.0))
    assert (due.quota, due.priority) == (1, HELD_PRIORITY)


def test_a_delayed_job_does_not_hold_its_lane() -> None:
    limits = LaneLimits(None, None, ordered=True)
    assert granted(limits, first=FirstWaiting(5, 60.0)).quota == 1


def test_a_grant_contains_the_most_urgent_due_priority() -> None:
    assert granted(LaneLimits(5, None, ordered=False), first=FirstWaiting(7, 0.0)).priority == 7


def test_an_empty_lane_grants_nothing() -> None:
    assert granted(LaneLimits(5, None, ordered=False), first=None) == Grant(0, None)


def test_an_exhausted_rate_returns_the_time_until_the_next_call() -> None:
    limits = LaneLimits(None, RateLimit(10, 1.0), ordered=False)
    next_at = next_due(RateLimit(10, 1.0), 0.0, NOW, 1)
    assert next_at == pytest.approx(NOW + 0.1)
    refused = granted(limits, next_at=next_at)
    assert refused.quota == 0
    assert refused.retry_in == pytest.approx(0.1)
    assert granted(limits, next_at=next_at, now=next_at).quota == 1


@given(
    st.integers(1, 500),
    st.floats(0.05, 100),
    st.lists(st.tuples(st.floats(0, 0.5), st.integers(1, 50)), min_size=1, max_size=150),
)
def test_no_period_contains_more_calls_than_the_limit(
    limit: int, period: float, requests: list[tuple[float, int]]
) -> None:
    rate = RateLimit(limit, period)
    now, next_at = NOW, 0.0
    begun: list[float] = []
    for fraction, wanted in requests:
        now += fraction * period
        taken = min(wanted, rate_room(rate, next_at, now))
        next_at = next_due(rate, next_at, now, taken)
        begun += [now] * taken
    for index, first in enumerate(begun):
        # Slightly less than the period: floats of this size are rounded.
        within = [each for each in begun[index:] if each - first < period * 0.999 - 1e-5]
        assert len(within) <= limit


@pytest.mark.parametrize("limit", [1, 5, 49, 50, 100, 1_000, 20_000])
def test_a_busy_lane_reaches_95_percent_of_its_limit(limit: int) -> None:
    rate = RateLimit(limit, 1.0)
    now, next_at, taken = NOW, 0.0, 0
    while now < NOW + 10:
        room = rate_room(rate, next_at, now)
        next_at = next_due(rate, next_at, now, room)
        taken += room
        now += 0.001
    assert taken >= limit * 10 * 0.95


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("100/s", RateLimit(100, 1.0)),
        ("10/min", RateLimit(10, 60.0)),
        ("10/m", RateLimit(10, 60.0)),
        ("1000/h", RateLimit(1_000, 3_600.0)),
        (" 5 / 10s ", RateLimit(5, 10.0)),
        ("1/0.5s", RateLimit(1, 0.5)),
        ({"limit": 3, "period": 60}, RateLimit(3, 60.0)),
        ({"limit": 3}, RateLimit(3, 1.0)),
        (RateLimit(3, 2), RateLimit(3, 2.0)),
        ("none", None),
        (None, None),
    ],
)
def test_all_formats_of_a_rate_limit_are_accepted(given: Any, expected: object) -> None:
    assert build_rate_limit(given) == expected


@pytest.mark.parametrize(
    "given",
    [
        "100",
        "fast",
        "0/s",
        "-1/s",
        "5/0s",
        "1/3d",
        {"limit": 0},
        {"limit": True},
        {"limit": 1.5},
        {"limit": 5, "period": "60"},
        {"limit": 5, "period": float("nan")},
        {"count": 5},
        {},
    ],
)
def test_an_invalid_rate_limit_is_rejected(given: Any) -> None:
    with pytest.raises(InvalidReaction, match="rate_limit"):
        build_rate_limit(given)

"""Retry policies: their delays, and which are refused."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from delivery.errors import InvalidReaction
from delivery.models import RetryPolicy, RetryStrategy
from delivery.policy.retry import (
    backoff,
    documented_delays,
    policy_from_mapping,
    validate_policy,
)

DEFAULTS = RetryPolicy()
MIDDLE = 0.5


def test_default_policy_has_the_documented_times() -> None:
    """Ten attempts within about fifteen hours."""
    delays = documented_delays(DEFAULTS)
    assert list(delays) == [10, 30, 90, 270, 810, 2_430, 7_290, 21_600, 21_600]
    assert 15 <= sum(delays) / 3_600 < 15.1


def test_constant_delay_does_not_grow() -> None:
    """`constant` waits for `base` each time."""
    policy = RetryPolicy(max_attempts=4, strategy=RetryStrategy.CONSTANT, base=7.0)
    assert documented_delays(policy) == (7, 7, 7)


def test_linear_delay_grows_by_base() -> None:
    """`linear` adds `base` with each attempt."""
    policy = RetryPolicy(max_attempts=5, strategy=RetryStrategy.LINEAR, base=5.0, max=14.0)
    assert documented_delays(policy) == (5, 10, 14, 14)


def test_last_delay_of_a_schedule_repeats() -> None:
    """A schedule shorter than the attempts goes on with its last entry."""
    policy = RetryPolicy(max_attempts=5, strategy=RetryStrategy.SCHEDULE, schedule=(1.0, 5.0))
    assert documented_delays(policy) == (1, 5, 5, 5)


def test_jitter_spreads_around_the_delay() -> None:
    """The draw goes evenly from the shortest to the longest delay."""
    assert backoff(DEFAULTS, 1, 0.0) == pytest.approx(8)
    assert backoff(DEFAULTS, 1, MIDDLE) == pytest.approx(10)
    assert backoff(DEFAULTS, 1, 1.0) == pytest.approx(12)


def test_delays_at_max_are_spread_below_it() -> None:
    """Jobs that all wait for `max` do not come back at the same instant."""
    policy = RetryPolicy(max=100.0)
    drawn = [backoff(policy, 9, draw) for draw in (0.0, 0.5, 1.0)]
    assert drawn == pytest.approx([80, 90, 100])


def test_a_policy_of_zeros_retries_at_once() -> None:
    """Base 0 stays 0 at every attempt, however the factor grows."""
    assert backoff(RetryPolicy(base=0.0), 10_000, 1.0) == 0


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"max_attempts": 0}, "max_attempts"),
        ({"max_attempts": 10_001}, "never unlimited"),
        ({"max_attempts": None}, "max_attempts"),
        ({"max_attempts": True}, "max_attempts"),
        ({"max_attempts": 3.5}, "max_attempts"),
        ({"strategy": "random"}, "strategy"),
        ({"base": -1.0}, "base"),
        ({"base": float("nan")}, "base"),
        ({"base": "10"}, "base"),
        ({"factor": 0.5}, "factor"),
        ({"max": float("inf")}, "max"),
        ({"jitter": 1.5}, "jitter"),
        ({"max_elapsed": 0.0}, "max_elapsed"),
        ({"max_elapsed": -5.0}, "max_elapsed"),
        ({"strategy": RetryStrategy.SCHEDULE}, "schedule"),
        ({"strategy": RetryStrategy.SCHEDULE, "schedule": (1.0, -1.0)}, r"schedule\[1\]"),
        ({"strategy": RetryStrategy.SCHEDULE, "schedule": (90_000.0,)}, "raise max"),
        ({"schedule": (1.0,) * 1_001}, "1000 delays"),
    ],
)
def test_impossible_policy_is_refused_by_name(change: dict[str, Any], named: str) -> None:
    """The message names the key."""
    with pytest.raises(InvalidReaction, match=named):
        validate_policy(dataclasses.replace(DEFAULTS, **change))


def test_null_means_the_default() -> None:
    """No key can be made unlimited by null."""
    nulls = dict.fromkeys(field.name for field in dataclasses.fields(RetryPolicy))
    assert policy_from_mapping(nulls, DEFAULTS) == DEFAULTS
    assert policy_from_mapping({}, RetryPolicy(max_attempts=3)).max_attempts == 3


def test_mapping_overrides_the_defaults() -> None:
    """Only the keys given differ; whole numbers become floats."""
    policy = policy_from_mapping({"max_attempts": 2, "strategy": "linear", "base": 1}, DEFAULTS)
    assert policy == dataclasses.replace(
        DEFAULTS, max_attempts=2, strategy=RetryStrategy.LINEAR, base=1.0
    )
    assert isinstance(policy.base, float)


def test_schedule_alone_means_the_strategy_schedule() -> None:
    """A list of delays is not ignored."""
    policy = policy_from_mapping({"schedule": [1, 2]}, DEFAULTS)
    assert policy.strategy is RetryStrategy.SCHEDULE
    assert policy.schedule == (1.0, 2.0)


def test_schedule_with_another_strategy_is_refused() -> None:
    """It would be ignored."""
    with pytest.raises(InvalidReaction, match="ignores it"):
        policy_from_mapping({"schedule": [1, 2], "strategy": "linear"}, DEFAULTS)


def test_strategy_may_leave_a_default_schedule_unused() -> None:
    """The defaults' schedule does not get in the way of another strategy."""
    defaults = RetryPolicy(strategy=RetryStrategy.SCHEDULE, schedule=(1.0,))
    assert policy_from_mapping({"strategy": "constant"}, defaults).base == 10


@pytest.mark.parametrize("schedule", ["1,2", 5, {"a": 1}, b"12"])
def test_schedule_that_is_not_a_list_is_refused(schedule: object) -> None:
    """Texts and objects are not lists."""
    with pytest.raises(InvalidReaction, match="a list of seconds"):
        policy_from_mapping({"schedule": schedule}, DEFAULTS)


@pytest.mark.parametrize("strategy", ["fibonacci", 1, ["linear"]])
def test_unknown_strategy_is_refused_with_the_known(strategy: object) -> None:
    """The message lists what there is."""
    with pytest.raises(InvalidReaction, match="constant, linear, exponential, schedule"):
        policy_from_mapping({"strategy": strategy}, DEFAULTS)


def test_unknown_key_is_refused_with_the_known() -> None:
    """A misspelt key is not ignored."""
    with pytest.raises(
        InvalidReaction, match=r"unknown key: max_retries; did you mean max_attempts"
    ):
        policy_from_mapping({"max_retries": 3}, DEFAULTS)

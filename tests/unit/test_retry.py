"""Tests of retry policies: delays and validation."""

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


def test_the_default_policy_has_the_documented_delays() -> None:
    """Ten attempts span about fifteen hours."""
    delays = documented_delays(DEFAULTS)
    assert list(delays) == [10, 30, 90, 270, 810, 2_430, 7_290, 21_600, 21_600]
    assert 15 <= sum(delays) / 3_600 < 15.1


def test_a_constant_delay_does_not_grow() -> None:
    """Each delay is `base`."""
    policy = RetryPolicy(max_attempts=4, strategy=RetryStrategy.CONSTANT, base=7.0)
    assert documented_delays(policy) == (7, 7, 7)


def test_a_linear_delay_grows_by_base() -> None:
    """Each attempt adds `base`, up to `max`."""
    policy = RetryPolicy(max_attempts=5, strategy=RetryStrategy.LINEAR, base=5.0, max=14.0)
    assert documented_delays(policy) == (5, 10, 14, 14)


def test_the_last_delay_of_a_schedule_repeats() -> None:
    """A schedule can have fewer entries than the policy has delays."""
    policy = RetryPolicy(max_attempts=5, strategy=RetryStrategy.SCHEDULE, schedule=(1.0, 5.0))
    assert documented_delays(policy) == (1, 5, 5, 5)


def test_jitter_spreads_the_delay_in_both_directions() -> None:
    """The draw interpolates between the shortest and the longest delay."""
    assert backoff(DEFAULTS, 1, 0.0) == pytest.approx(8)
    assert backoff(DEFAULTS, 1, MIDDLE) == pytest.approx(10)
    assert backoff(DEFAULTS, 1, 1.0) == pytest.approx(12)


def test_jitter_spreads_delays_at_max_below_max() -> None:
    """Jobs whose delay is `max` are not retried simultaneously."""
    policy = RetryPolicy(max=100.0)
    drawn = [backoff(policy, 9, draw) for draw in (0.0, 0.5, 1.0)]
    assert drawn == pytest.approx([80, 90, 100])


def test_base_zero_retries_immediately() -> None:
    """The delay stays 0 even if the factor overflows."""
    assert backoff(RetryPolicy(base=0.0), 10_000, 1.0) == 0


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"max_attempts": 0}, "max_attempts"),
        ({"max_attempts": 10_001}, "cannot be unlimited"),
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
def test_an_invalid_policy_is_rejected(change: dict[str, Any], named: str) -> None:
    """The error names the key."""
    with pytest.raises(InvalidReaction, match=named):
        validate_policy(dataclasses.replace(DEFAULTS, **change))


def test_null_selects_the_default() -> None:
    """Null cannot remove a limit."""
    nulls = dict.fromkeys(field.name for field in dataclasses.fields(RetryPolicy))
    assert policy_from_mapping(nulls, DEFAULTS) == DEFAULTS
    assert policy_from_mapping({}, RetryPolicy(max_attempts=3)).max_attempts == 3


def test_a_mapping_overrides_the_defaults() -> None:
    """Other keys are unchanged. Integers become floats."""
    policy = policy_from_mapping({"max_attempts": 2, "strategy": "linear", "base": 1}, DEFAULTS)
    assert policy == dataclasses.replace(
        DEFAULTS, max_attempts=2, strategy=RetryStrategy.LINEAR, base=1.0
    )
    assert isinstance(policy.base, float)


def test_a_schedule_implies_the_strategy_schedule() -> None:
    policy = policy_from_mapping({"schedule": [1, 2]}, DEFAULTS)
    assert policy.strategy is RetryStrategy.SCHEDULE
    assert policy.schedule == (1.0, 2.0)


def test_a_schedule_with_another_strategy_is_rejected() -> None:
    """The other strategy would ignore the schedule."""
    with pytest.raises(InvalidReaction, match="ignores it"):
        policy_from_mapping({"schedule": [1, 2], "strategy": "linear"}, DEFAULTS)


def test_a_strategy_can_override_a_default_schedule() -> None:
    defaults = RetryPolicy(strategy=RetryStrategy.SCHEDULE, schedule=(1.0,))
    assert policy_from_mapping({"strategy": "constant"}, defaults).base == 10


@pytest.mark.parametrize("schedule", ["1,2", 5, {"a": 1}, b"12"])
def test_a_schedule_must_be_a_list(schedule: object) -> None:
    """Strings and mappings are rejected."""
    with pytest.raises(InvalidReaction, match="a list of seconds"):
        policy_from_mapping({"schedule": schedule}, DEFAULTS)


@pytest.mark.parametrize("strategy", ["fibonacci", 1, ["linear"]])
def test_an_unknown_strategy_is_rejected(strategy: object) -> None:
    """The error lists the valid strategies."""
    with pytest.raises(InvalidReaction, match="constant, linear, exponential, schedule"):
        policy_from_mapping({"strategy": strategy}, DEFAULTS)


def test_an_unknown_key_is_rejected() -> None:
    """The error suggests the closest key."""
    with pytest.raises(
        InvalidReaction, match=r"unknown key: max_retries; did you mean max_attempts"
    ):
        policy_from_mapping({"max_retries": 3}, DEFAULTS)

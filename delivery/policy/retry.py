"""Delays of a `RetryPolicy`, and validation of policies.

The delay after failed attempt n (counted from 1), before jitter:

    constant      base
    linear        base * n
    exponential   base * factor ** (n - 1)
    schedule      entry n of the schedule, or the last entry

The delay is capped at `max`. Jitter then draws uniformly from the range delay * (1 - jitter) to
delay * (1 + jitter), cut off at `max`. Jobs whose delay is `max` are therefore spread out too.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any, Final, NoReturn

from delivery.errors import InvalidReaction
from delivery.models import RetryPolicy, RetryStrategy
from delivery.spelling import did_you_mean
from delivery.wording import plain_number

__all__ = [
    "LONGEST_DELAY",
    "MOST_ATTEMPTS",
    "backoff",
    "documented_delays",
    "elapsed",
    "elapses_at",
    "policy_from_mapping",
    "validate_policy",
]

MOST_ATTEMPTS: Final = 10_000
"""Upper bound of `max_attempts`."""

LONGEST_DELAY: Final = 30 * 86_400.0
"""Upper bound of `base`, `max` and each entry of a schedule: 30 days, in seconds."""

_LONGEST_ELAPSED: Final = 365 * 86_400.0
_GREATEST_FACTOR: Final = 100.0
_LONGEST_SCHEDULE: Final = 1_000

_STRATEGIES: Final = tuple(strategy.value for strategy in RetryStrategy)
_KEYS: Final = tuple(field.name for field in dataclasses.fields(RetryPolicy))


def backoff(policy: RetryPolicy, attempt: int, draw: float) -> float:
    """Return the delay in seconds after a failed attempt.

    Args:
        policy: Valid retry policy.
        attempt: Number of the failed attempt, from 1.
        draw: Random number from 0 to 1. 0 selects the shortest delay, 1 the longest.
    """
    delay = _plain_delay(policy, attempt)
    shortest = delay * (1.0 - policy.jitter)
    longest = min(delay * (1.0 + policy.jitter), policy.max)
    return shortest + (longest - shortest) * draw


def documented_delays(policy: RetryPolicy) -> tuple[float, ...]:
    """Return all delays of the policy in seconds, without jitter: one fewer than its attempts."""
    return tuple(_plain_delay(policy, attempt) for attempt in range(1, policy.max_attempts))


def elapses_at(policy: RetryPolicy, created_at: float, due_at: float | None) -> float | None:
    """Return the latest start of a retry, in seconds since the epoch; None without a limit.

    Args:
        policy: Retry policy with `max_elapsed`.
        created_at: Creation time of the job.
        due_at: Scheduled time of the first attempt, if the job was delayed. The delay does not
            count towards `max_elapsed`.
    """
    if policy.max_elapsed is None:
        return None
    since = created_at if due_at is None else max(created_at, due_at)
    return since + policy.max_elapsed


def elapsed(
    policy: RetryPolicy,
    *,
    attempts: int,
    created_at: float,
    due_at: float | None,
    now: float,
) -> bool:
    """Return whether `max_elapsed` forbids the next attempt.

    The first attempt is always allowed.

    Args:
        policy: Retry policy with `max_elapsed`.
        attempts: Number of counted attempts so far.
        created_at: Creation time of the job.
        due_at: Scheduled time of the first attempt, if the job was delayed.
        now: Start time of the next attempt.
    """
    if policy.max_elapsed is None or attempts < 1:
        return False
    latest = elapses_at(policy, created_at, due_at)
    return latest is not None and now > latest


def _plain_delay(policy: RetryPolicy, attempt: int) -> float:
    strategy = policy.strategy
    if strategy is RetryStrategy.EXPONENTIAL:
        if policy.base == 0:
            return 0.0
        try:
            delay = policy.base * float(policy.factor) ** (attempt - 1)
        except OverflowError:
            return policy.max
    elif strategy is RetryStrategy.CONSTANT:
        delay = policy.base
    elif strategy is RetryStrategy.LINEAR:
        delay = policy.base * attempt
    else:
        delay = policy.schedule[min(attempt, len(policy.schedule)) - 1]
    return min(delay, policy.max)


def validate_policy(policy: RetryPolicy) -> RetryPolicy:
    """Validate and return a policy.

    Raises:
        InvalidReaction: with the key, its value and the allowed range.
    """
    attempts: object = policy.max_attempts
    if not isinstance(attempts, int) or isinstance(attempts, bool):
        _refuse("max_attempts", attempts, f"a whole number from 1 to {MOST_ATTEMPTS}")
    if not 1 <= attempts <= MOST_ATTEMPTS:
        _refuse("max_attempts", attempts, f"from 1 to {MOST_ATTEMPTS}; it cannot be unlimited")
    strategy: object = policy.strategy
    if not isinstance(strategy, RetryStrategy):
        _refuse("strategy", strategy, f"one of {', '.join(RetryStrategy)}")
    _check_range("base", policy.base, 0.0, LONGEST_DELAY)
    _check_range("factor", policy.factor, 1.0, _GREATEST_FACTOR)
    _check_range("max", policy.max, 0.0, LONGEST_DELAY)
    _check_range("jitter", policy.jitter, 0.0, 1.0)
    if policy.max_elapsed is not None:
        _check_range("max_elapsed", policy.max_elapsed, 0.0, _LONGEST_ELAPSED)
        if policy.max_elapsed == 0:
            _refuse("max_elapsed", 0, "more than 0 seconds, or null for no limit")
    _check_schedule(policy)
    return policy


def _check_schedule(policy: RetryPolicy) -> None:
    if len(policy.schedule) > _LONGEST_SCHEDULE:
        _refuse("schedule", f"{len(policy.schedule)} delays", f"at most {_LONGEST_SCHEDULE} delays")
    for index, delay in enumerate(policy.schedule):
        _check_range(f"schedule[{index}]", delay, 0.0, LONGEST_DELAY)
    if policy.strategy is not RetryStrategy.SCHEDULE:
        return
    if not policy.schedule:
        _refuse("schedule", "empty", 'a list of seconds for strategy "schedule": [10, 60, 600]')
    longest = max(policy.schedule)
    if longest > policy.max:
        _refuse(
            "schedule",
            f"{plain_number(longest)} s",
            f"at most max, which is {plain_number(policy.max)} s; raise max as well",
        )


def policy_from_mapping(mapping: Mapping[str, object], defaults: RetryPolicy) -> RetryPolicy:
    """Build a policy from a JSON object; take missing and null keys from `defaults`.

    A `schedule` without a `strategy` implies the strategy `schedule`.

    Raises:
        InvalidReaction: if a key is unknown or the policy is invalid.
    """
    unknown = [str(key) for key in mapping if key not in _KEYS]
    if unknown:
        advice = did_you_mean(unknown[0], _KEYS)
        message = f"the retry policy contains an unknown key: {unknown[0]}{advice}"
        raise InvalidReaction(message)
    given: dict[str, Any] = {key: value for key, value in mapping.items() if value is not None}
    if "schedule" in given:
        given["schedule"] = _schedule(given["schedule"])
        given.setdefault("strategy", RetryStrategy.SCHEDULE)
    if "strategy" in given:
        given["strategy"] = _strategy(given["strategy"])
        if given["strategy"] is not RetryStrategy.SCHEDULE and given.get("schedule"):
            _refuse(
                "schedule",
                "a list",
                f'omitted with strategy "{given["strategy"]}", which ignores it',
            )
    policy = dataclasses.replace(defaults, **given)
    validate_policy(policy)
    # JSON does not distinguish 10 from 10.0. Store floats, so that equal policies compare equal.
    return dataclasses.replace(
        policy,
        base=float(policy.base),
        factor=float(policy.factor),
        max=float(policy.max),
        jitter=float(policy.jitter),
        max_elapsed=None if policy.max_elapsed is None else float(policy.max_elapsed),
        schedule=tuple(map(float, policy.schedule)),
    )


def _strategy(value: object) -> RetryStrategy:
    if not isinstance(value, str) or value not in _STRATEGIES:
        _refuse("strategy", value, f"one of {', '.join(_STRATEGIES)}")
    return RetryStrategy(value)


def _schedule(value: object) -> tuple[Any, ...]:
    if not isinstance(value, Sequence) or isinstance(value, (str, bytes, bytearray)):
        _refuse("schedule", value, "a list of seconds, such as [10, 60, 600]")
    return tuple(value)


def _check_range(key: str, value: object, least: float, greatest: float) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        _refuse(key, value, f"a number from {plain_number(least)} to {plain_number(greatest)}")
    if not (least <= value <= greatest and math.isfinite(value)):
        _refuse(key, value, f"from {plain_number(least)} to {plain_number(greatest)}")


def _refuse(key: str, value: object, allowed: str) -> NoReturn:
    shown = value if isinstance(value, str) else repr(value)
    if len(shown) > 60:  # noqa: PLR2004 - limits the message to one line
        shown = f"{shown[:57]}..."
    message = f"{key} of the retry policy is {shown}, but must be {allowed}"
    raise InvalidReaction(message)

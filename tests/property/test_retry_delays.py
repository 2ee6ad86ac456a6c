"""Properties of the delays between attempts."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from delivery.models import RetryPolicy, RetryStrategy
from delivery.policy.retry import (
    LONGEST_DELAY,
    MOST_ATTEMPTS,
    backoff,
    documented_delays,
    policy_from_mapping,
    validate_policy,
)

seconds = st.floats(0, LONGEST_DELAY)
draws = st.floats(0, 1)
attempts = st.integers(1, MOST_ATTEMPTS)


@st.composite
def policies(draw: st.DrawFn) -> RetryPolicy:
    """Every valid policy."""
    longest = draw(seconds)
    strategy = draw(st.sampled_from(RetryStrategy))
    is_schedule = strategy is RetryStrategy.SCHEDULE
    return validate_policy(
        RetryPolicy(
            max_attempts=draw(attempts),
            strategy=strategy,
            base=draw(seconds),
            factor=draw(st.floats(1, 100)),
            max=longest,
            jitter=draw(st.floats(0, 1)),
            max_elapsed=draw(st.none() | st.floats(1e-6, 1e6)),
            schedule=tuple(
                draw(
                    st.lists(st.floats(0, longest), min_size=1, max_size=20)
                    if is_schedule
                    else st.just([])
                )
            ),
        )
    )


@given(policies(), attempts, draws)
def test_every_delay_is_finite_and_within_max(
    policy: RetryPolicy, attempt: int, draw: float
) -> None:
    """Up to attempt 10,000, with any policy and any draw."""
    delay = backoff(policy, attempt, draw)
    assert math.isfinite(delay)
    assert 0 <= delay <= policy.max * (1 + 1e-9)


@given(policies(), attempts, draws)
def test_jitter_stays_within_its_range(policy: RetryPolicy, attempt: int, draw: float) -> None:
    """Around the delay without jitter."""
    plain = backoff(
        RetryPolicy(**{name: getattr(policy, name) for name in policy.__slots__} | {"jitter": 0.0}),
        attempt,
        draw,
    )
    delay = backoff(policy, attempt, draw)
    slack = 1e-9 * (plain + 1)
    assert plain * (1 - policy.jitter) - slack <= delay <= plain * (1 + policy.jitter) + slack


@given(policies(), st.integers(1, MOST_ATTEMPTS - 1), draws)
def test_growing_strategies_never_shrink(policy: RetryPolicy, attempt: int, draw: float) -> None:
    """The same draw gives no shorter delay at the next attempt."""
    if policy.strategy is not RetryStrategy.SCHEDULE:
        now, later = backoff(policy, attempt, draw), backoff(policy, attempt + 1, draw)
        assert now <= later * (1 + 1e-9)


@given(policies())
def test_there_is_one_delay_fewer_than_attempts(policy: RetryPolicy) -> None:
    """And each is within `max`."""
    delays = documented_delays(policy)
    assert len(delays) == policy.max_attempts - 1
    assert all(0 <= delay <= policy.max for delay in delays)


@given(policies(), policies())
def test_policy_survives_its_json(policy: RetryPolicy, defaults: RetryPolicy) -> None:
    """All keys given: the defaults do not matter, but for the bound that null cannot lift."""
    mapping = {name: getattr(policy, name) for name in policy.__slots__}
    if policy.strategy is not RetryStrategy.SCHEDULE:
        mapping["schedule"] = None
    read = policy_from_mapping(mapping, defaults)
    expected = mapping | {
        "schedule": policy.schedule or defaults.schedule,
        "max_elapsed": defaults.max_elapsed if policy.max_elapsed is None else policy.max_elapsed,
    }
    assert {name: getattr(read, name) for name in read.__slots__} == expected

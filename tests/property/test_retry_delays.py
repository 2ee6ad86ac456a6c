"""Properties of retry delays."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from delivery.models import RetryPolicy, RetryStrategy
from delivery.policy.outcome import DEFAULT_RULES, decide
from delivery.policy.retry import (
    LONGEST_DELAY,
    MOST_ATTEMPTS,
    backoff,
    documented_delays,
    elapsed,
    policy_from_mapping,
    validate_policy,
)

seconds = st.floats(0, LONGEST_DELAY)
draws = st.floats(0, 1)
attempts = st.integers(1, MOST_ATTEMPTS)


@st.composite
def policies(draw: st.DrawFn) -> RetryPolicy:
    """Generate valid policies."""
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
    """Holds up to attempt 10,000."""
    delay = backoff(policy, attempt, draw)
    assert math.isfinite(delay)
    assert 0 <= delay <= policy.max * (1 + 1e-9)


@given(policies(), attempts, draws)
def test_a_delay_stays_within_its_jitter(policy: RetryPolicy, attempt: int, draw: float) -> None:
    """The range is symmetric around the delay without jitter."""
    plain = backoff(
        RetryPolicy(**{name: getattr(policy, name) for name in policy.__slots__} | {"jitter": 0.0}),
        attempt,
        draw,
    )
    delay = backoff(policy, attempt, draw)
    slack = 1e-9 * (plain + 1)
    assert plain * (1 - policy.jitter) - slack <= delay <= plain * (1 + policy.jitter) + slack


@given(policies(), st.integers(1, MOST_ATTEMPTS - 1), draws)
def test_delays_never_shrink(policy: RetryPolicy, attempt: int, draw: float) -> None:
    """Schedules are exempt: users choose their order."""
    if policy.strategy is not RetryStrategy.SCHEDULE:
        now, later = backoff(policy, attempt, draw), backoff(policy, attempt + 1, draw)
        assert now <= later * (1 + 1e-9)


@given(policies())
def test_a_policy_has_one_delay_fewer_than_attempts(policy: RetryPolicy) -> None:
    """Each delay is within `max`."""
    delays = documented_delays(policy)
    assert len(delays) == policy.max_attempts - 1
    assert all(0 <= delay <= policy.max for delay in delays)


@given(policies(), policies())
def test_a_policy_round_trips_through_json(policy: RetryPolicy, defaults: RetryPolicy) -> None:
    """Complete JSON overrides all defaults, except that null cannot remove `max_elapsed`."""
    mapping = {name: getattr(policy, name) for name in policy.__slots__}
    if policy.strategy is not RetryStrategy.SCHEDULE:
        mapping["schedule"] = None
    read = policy_from_mapping(mapping, defaults)
    expected = mapping | {
        "schedule": policy.schedule or defaults.schedule,
        "max_elapsed": defaults.max_elapsed if policy.max_elapsed is None else policy.max_elapsed,
    }
    assert {name: getattr(read, name) for name in read.__slots__} == expected


@given(
    max_elapsed=st.none() | st.floats(0.001, 1e6),
    attempts=st.integers(0, 20),
    created_at=st.floats(0, 2e9),
    delay=st.none() | st.floats(-1e6, 1e6),
    later=st.floats(0, 2e6),
)
def test_max_elapsed_forbids_late_retries_but_never_the_first_attempt(
    max_elapsed: float | None,
    attempts: int,
    created_at: float,
    delay: float | None,
    later: float,
) -> None:
    """The time starts at the creation of the job, or at its scheduled time if that is later."""
    policy = RetryPolicy(max_elapsed=max_elapsed)
    due_at = None if delay is None else created_at + delay
    now = created_at + later
    is_over = elapsed(policy, attempts=attempts, created_at=created_at, due_at=due_at, now=now)
    if attempts == 0 or max_elapsed is None:
        assert not is_over
    else:
        since = max(created_at, created_at if due_at is None else due_at)
        assert is_over == (now > since + max_elapsed)
    if is_over:
        # `elapsed` is monotonic: in time, and in the delay of the first attempt.
        since_made = elapsed(policy, attempts=attempts, created_at=created_at, due_at=None, now=now)
        one_second_later = elapsed(
            policy, attempts=attempts, created_at=created_at, due_at=due_at, now=now + 1
        )
        assert since_made
        assert one_second_later


@given(
    max_elapsed=st.floats(1, 1e6),
    delay=st.none() | st.floats(0, 1e6),
    age=st.floats(0, 1e6),
    draw=st.floats(0, 1),
)
def test_verdict_and_claim_agree_on_max_elapsed(
    max_elapsed: float, delay: float | None, age: float, draw: float
) -> None:
    """A retry that the verdict grants is not elapsed when it is due."""
    now = 1.7e9
    created_at = now - age
    due_at = None if delay is None else created_at + delay
    policy = RetryPolicy(max_elapsed=max_elapsed)
    decision = decide(
        status_code=500,
        failure_kind=None,
        attempt=1,
        max_attempts=5,
        policy=policy,
        rules=DEFAULT_RULES,
        retry_after=lambda: None,
        now=now,
        created_at=created_at,
        deadline=None,
        draw=lambda: draw,
        due_at=due_at,
    )
    start = decision.run_at if decision.run_at is not None else now + backoff(policy, 1, draw)
    is_over = elapsed(policy, attempts=1, created_at=created_at, due_at=due_at, now=start)
    assert is_over == decision.exhausted

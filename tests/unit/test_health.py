"""Tests of the health rules: evidence of calls, pauses, circuit and disabling."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from delivery.models import EngineEventType, FailureKind, JobStatus, Outcome
from delivery.policy.endpoint_health import (
    HEALTHY,
    CallResult,
    Change,
    Health,
    HealthRules,
    Observed,
    classify,
    is_early,
    judge,
    observe,
)
from delivery.policy.outcome import SUCCESS, Decision

RULES = HealthRules(
    open_failures=3,
    open_after=5.0,
    probe_after=10.0,
    probe_max=60.0,
    longest_pause=100.0,
    disable_failures=20,
    disable_after=1_000.0,
)
NOW = 1_000_000.0

RETRIED = Decision(JobStatus.RETRYING, Outcome.RETRIED, 1.0, FailureKind.HTTP_STATUS)
REFUSED = Decision(JobStatus.FAILED, Outcome.FAILED, None, FailureKind.HTTP_STATUS)
EXHAUSTED = replace(REFUSED, exhausted=True)
TOO_LATE = Decision(JobStatus.FAILED, Outcome.FAILED, None, FailureKind.DEADLINE)
BLOCKED = Decision(JobStatus.FAILED, Outcome.FAILED, None, FailureKind.BLOCKED)
UNREACHED = Decision(JobStatus.RETRYING, Outcome.RETRIED, 1.0, FailureKind.TIMEOUT)


@pytest.mark.parametrize(
    ("decision", "status", "kind", "call_result"),
    [
        (SUCCESS, 200, None, CallResult.WORKS),
        (REFUSED, 400, None, CallResult.WORKS),
        (REFUSED, 302, None, CallResult.WORKS),
        (RETRIED, 500, None, CallResult.FAILED),
        (RETRIED, 404, None, CallResult.FAILED),
        (EXHAUSTED, 500, None, CallResult.FAILED),
        (TOO_LATE, 500, None, CallResult.FAILED),
        (TOO_LATE, None, FailureKind.TRANSPORT, CallResult.FAILED),
        (RETRIED, 429, None, CallResult.THROTTLED),
        (RETRIED, 502, None, CallResult.OVERLOADED),
        (RETRIED, 503, None, CallResult.OVERLOADED),
        (EXHAUSTED, 504, None, CallResult.OVERLOADED),
        (UNREACHED, None, FailureKind.TIMEOUT, CallResult.FAILED),
        (UNREACHED, 200, FailureKind.TIMEOUT, CallResult.FAILED),
        (BLOCKED, None, FailureKind.BLOCKED, None),
        (RETRIED, None, FailureKind.INTERNAL, None),
    ],
)
def test_a_call_is_classified_as_evidence_about_its_endpoint(
    decision: Decision, status: int | None, kind: FailureKind | None, call_result: CallResult | None
) -> None:
    assert classify(decision, status, kind) is call_result


def seen(*call_results: CallResult, retry_after: float | None = None) -> Observed:
    observed = Observed()
    for call_result in call_results:
        observed = observe(observed, 1, call_result, NOW, NOW, lambda: retry_after)
    return observed


def test_a_success_resets_earlier_failures() -> None:
    assert seen(CallResult.FAILED, CallResult.OVERLOADED, CallResult.WORKS) == Observed(
        worked=True, version=1
    )
    after = seen(CallResult.FAILED, CallResult.WORKS, CallResult.FAILED, CallResult.THROTTLED)
    assert (after.worked, after.failures, after.throttles) == (True, 1, 1)


def test_the_longest_retry_after_wins() -> None:
    observed = observe(Observed(), 1, CallResult.THROTTLED, NOW, NOW, lambda: 30.0)
    observed = observe(observed, 1, CallResult.OVERLOADED, NOW, NOW + 1, lambda: 2.0)
    assert observed.retry_after == NOW + 30


def test_results_of_an_older_version_are_discarded() -> None:
    observed = seen(CallResult.FAILED, CallResult.FAILED)
    observed = observe(observed, 2, CallResult.FAILED, NOW, NOW + 1, lambda: None)
    assert (observed.version, observed.failures, observed.failing_since) == (2, 1, NOW + 1)
    assert observe(observed, 1, CallResult.WORKS, NOW, NOW, lambda: None) is observed


def failing(count: int, since: float = NOW) -> Observed:
    return Observed(failures=count, failing_since=since, last_began=since)


def test_the_circuit_opens_after_open_failures_and_open_after() -> None:
    assert judge(HEALTHY, failing(2, NOW - 100), RULES, NOW).health.openings == 0
    assert judge(HEALTHY, failing(50, NOW - 1), RULES, NOW).health.openings == 0
    opened = judge(Health(failures=2, failing_since=NOW - 6), failing(1), RULES, NOW)
    assert opened == Change(
        Health(3, NOW - 6, openings=1, paused_until=NOW + 10), EngineEventType.REACTION_FAILING
    )


@pytest.mark.parametrize(
    ("decision", "attempt", "early"),
    [
        (RETRIED, 1, True),
        (RETRIED, 2, True),
        (UNREACHED, 2, True),
        (RETRIED, 3, False),
        (EXHAUSTED, 1, False),
        (TOO_LATE, 2, False),
    ],
)
def test_the_first_two_failures_of_a_retried_job_are_early(
    decision: Decision,
    attempt: int,
    early: bool,  # noqa: FBT001
) -> None:
    assert is_early(decision, attempt) is early


def test_early_failures_open_the_circuit_only_after_open_at_latest() -> None:
    rules = replace(RULES, open_at_latest=60.0)
    many = replace(failing(50, NOW - 59), early=50)
    change = judge(HEALTHY, many, rules, NOW)
    assert (change.health.openings, change.health.early, change.event_type) == (0, 50, None)
    assert judge(change.health, replace(failing(1), early=1), rules, NOW + 1).health.openings == 1
    # Two full failures do not open the circuit, three do.
    assert judge(change.health, failing(2), rules, NOW).health.openings == 0
    opened = judge(change.health, failing(3), rules, NOW)
    assert (opened.health.openings, opened.event_type) == (1, EngineEventType.REACTION_FAILING)


def test_a_success_resets_early_failures() -> None:
    health = Health(50, NOW - 59, early=50)
    assert judge(health, seen(CallResult.WORKS), RULES, NOW) == Change(HEALTHY)


def test_failures_of_calls_in_flight_do_not_extend_the_open_circuit() -> None:
    open_ = Health(3, NOW - 6, openings=1, paused_until=NOW + 10)
    later = judge(open_, failing(40), RULES, NOW + 1)
    assert later.event_type is None
    assert (later.health.openings, later.health.paused_until) == (1, NOW + 10)
    # A call that ends while the circuit is half open, but started before, is not a probe.
    slow = observe(Observed(), 1, CallResult.FAILED, NOW - 5, NOW + 11, lambda: None)
    assert judge(open_, slow, RULES, NOW + 11).health.openings == 1
    probe = observe(slow, 1, CallResult.FAILED, NOW + 10, NOW + 12, lambda: None)
    assert judge(open_, probe, RULES, NOW + 12).health.openings == 2


def test_each_failed_probe_doubles_the_wait_up_to_probe_max() -> None:
    health = judge(HEALTHY, failing(3, NOW - 6), RULES, NOW).health
    waits, now = [], NOW
    for _ in range(5):
        waits.append(health.paused_until - now)
        now = health.paused_until
        change = judge(health, failing(1, now), RULES, now)
        assert change.event_type is None, "only the first opening raises a trigger"
        health = change.health
    assert waits == [10, 20, 40, 60, 60]


def test_a_successful_probe_closes_the_circuit_and_resets_health() -> None:
    half_open = Health(30, NOW - 100, openings=4, paused_until=NOW - 1)
    assert judge(half_open, seen(CallResult.WORKS), RULES, NOW) == Change(
        HEALTHY, EngineEventType.REACTION_RECOVERED
    )
    assert judge(Health(2, NOW), seen(CallResult.WORKS), RULES, NOW) == Change(HEALTHY)


def test_a_reaction_pauses_for_retry_after_up_to_longest_pause() -> None:
    asked = seen(CallResult.THROTTLED, retry_after=30)
    assert judge(HEALTHY, asked, RULES, NOW).health == Health(throttles=1, paused_until=NOW + 30)
    for_years = seen(CallResult.THROTTLED, retry_after=1e9)
    assert judge(HEALTHY, for_years, RULES, NOW).health.paused_until == NOW + 100


def test_pauses_after_three_consecutive_429_grow() -> None:
    few = seen(CallResult.THROTTLED, CallResult.THROTTLED)
    assert judge(HEALTHY, few, RULES, NOW) == Change(Health(throttles=1))
    many = seen(CallResult.THROTTLED, CallResult.THROTTLED, CallResult.THROTTLED)
    health, waits = HEALTHY, []
    for _ in range(9):
        health = judge(health, many, RULES, NOW).health
        waits.append(round(health.paused_until - NOW, 3))
    assert waits == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 10, 10]
    assert health.failures == 0, "429 is not a failure"
    after = judge(health, seen(CallResult.WORKS), RULES, NOW + 10)
    assert after == Change(HEALTHY)


def test_consecutive_429_count_across_judgements() -> None:
    health, paused = HEALTHY, []
    for number in range(5):
        health = judge(health, seen(CallResult.THROTTLED), RULES, NOW + number).health
        paused.append(health.paused_until > NOW + number)
    assert paused == [False, False, True, True, True]


def test_a_requested_pause_outlasts_successes_of_calls_in_flight() -> None:
    together = observe(
        seen(CallResult.THROTTLED, retry_after=30), 1, CallResult.WORKS, NOW, NOW, lambda: None
    )
    assert judge(HEALTHY, together, RULES, NOW).health.paused_until == NOW + 30
    pausing = Health(throttles=4, paused_until=NOW + 30)
    kept = judge(pausing, seen(CallResult.WORKS), RULES, NOW).health
    assert kept == Health(throttles=1, paused_until=NOW + 30)
    assert judge(kept, seen(CallResult.WORKS), RULES, NOW + 31) == Change(HEALTHY)


def test_a_reaction_is_disabled_after_disable_failures_and_disable_after() -> None:
    long_ago = Health(19, NOW - 1_000, openings=7, paused_until=NOW - 1)
    disabled = judge(long_ago, failing(1), RULES, NOW)
    assert disabled == Change(Health(20, NOW - 1_000), EngineEventType.REACTION_DISABLED)
    assert judge(replace(long_ago, failures=3), failing(1), RULES, NOW).event_type is None
    short = replace(long_ago, failing_since=NOW - 999)
    assert judge(short, failing(1), RULES, NOW).event_type is None
    never = replace(RULES, disable_after=None)
    assert judge(long_ago, failing(1), never, NOW + 1e9).event_type is None


@st.composite
def flaky_histories(draw: st.DrawFn) -> list[tuple[float, CallResult, bool]]:
    """Generate calls of an endpoint that fails each job once or twice: time, evidence, early."""
    calls: list[tuple[float, CallResult, bool]] = []
    delays = draw(st.tuples(st.floats(0.1, 20), st.floats(0.1, 20)))
    for _ in range(draw(st.integers(1, 60))):
        began = NOW + draw(st.floats(0, 300))
        times = draw(st.integers(1, 2))
        calls += [
            (began + sum(delays[:number]), CallResult.FAILED, True) for number in range(times)
        ]
        calls.append((began + sum(delays[:times]), CallResult.WORKS, False))
    return sorted(calls)


@given(flaky_histories())
def test_one_or_two_failures_of_each_job_never_open_the_circuit(
    calls: list[tuple[float, CallResult, bool]],
) -> None:
    """Holds if the third attempt starts before `open_at_latest`."""
    health = HEALTHY
    rules = replace(RULES, open_failures=1, open_after=0.0, open_at_latest=60.0)
    for at, call_result, early in calls:
        observed = observe(Observed(), 1, call_result, at, at, lambda: None, early=early)
        change = judge(health, observed, rules, at)
        assert (change.event_type, change.health.openings) == (None, 0)
        health = change.health


@given(
    st.lists(st.tuples(st.floats(0, 600), st.integers(3, 10)), min_size=20, max_size=40),
    st.floats(0.1, 10),
)
def test_an_endpoint_without_success_opens_its_circuit_after_open_failures(
    jobs: list[tuple[float, int]], delay: float
) -> None:
    calls = sorted(
        (NOW + began + attempt * delay, attempt <= 2)
        for began, attempts in jobs
        for attempt in range(1, attempts + 1)
    )
    health, full = HEALTHY, 0
    rules = replace(RULES, open_after=0.0, open_at_latest=1e9)
    for at, early in calls:
        observed = observe(Observed(), 1, CallResult.FAILED, at, at, lambda: None, early=early)
        health = judge(health, observed, rules, at).health
        full += not early
        assert (health.openings > 0) == (full >= rules.open_failures)


healths = st.builds(
    Health,
    failures=st.integers(0, 10**6),
    failing_since=st.none() | st.floats(NOW - 10**6, NOW),
    throttles=st.integers(0, 10**6),
    openings=st.integers(0, 10**6),
    paused_until=st.floats(0, NOW + 10**4),
)
call_results = st.lists(st.sampled_from(CallResult), min_size=1, max_size=20)
asked = st.none() | st.floats(0, 1e12)


@given(healths, call_results, asked)
def test_no_pause_exceeds_the_settings(
    health: Health, said: list[CallResult], retry_after: float | None
) -> None:
    change = judge(health, seen(*said, retry_after=retry_after), RULES, NOW)
    longest = max(RULES.probe_max, RULES.longest_pause)
    assert change.health.paused_until <= max(health.paused_until, NOW + longest)


@given(healths, call_results, asked)
def test_a_final_success_resets_health_except_for_a_running_pause(
    health: Health, said: list[CallResult], retry_after: float | None
) -> None:
    observed = seen(*said, CallResult.WORKS, retry_after=retry_after)
    after = judge(health, observed, RULES, NOW).health
    assert (after.failures, after.failing_since, after.openings) == (0, None, 0)
    assert after == HEALTHY or after.paused_until > NOW

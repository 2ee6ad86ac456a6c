"""Properties of outcomes."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from delivery.models import FailureKind, JobStatus, Outcome, RetryPolicy, StatusAction
from delivery.policy.outcome import NEVER_RETRIED, SUCCESS, compile_actions, decide
from delivery.policy.retry_after import parse_retry_after, retry_after_of

statuses = st.integers(100, 999)
actions = st.dictionaries(
    st.integers(100, 999).map(str) | st.integers(1, 9).map("{}xx".format),
    st.sampled_from(StatusAction),
    max_size=5,
)


@given(
    status_code=st.none() | statuses,
    failure_kind=st.none() | st.sampled_from(FailureKind),
    attempt=st.integers(1, 20),
    max_attempts=st.integers(1, 20),
    overrides=actions,
    retry_after=st.none() | st.floats(0, 1e9),
    age=st.floats(0, 1e6),
    left=st.none() | st.floats(-100, 100_000),
    max_elapsed=st.none() | st.floats(1, 1e6),
    draw=st.floats(0, 1),
)
def test_verdicts_are_consistent(
    status_code: int | None,
    failure_kind: FailureKind | None,
    attempt: int,
    max_attempts: int,
    overrides: dict[str, StatusAction],
    retry_after: float | None,
    age: float,
    left: float | None,
    max_elapsed: float | None,
    draw: float,
) -> None:
    """The fields of a verdict do not contradict each other."""
    now = 1.7e9
    deadline = None if left is None else now + left
    policy = RetryPolicy(max_elapsed=max_elapsed)
    decision = decide(
        status_code=status_code,
        failure_kind=failure_kind,
        attempt=attempt,
        max_attempts=max_attempts,
        policy=policy,
        rules=compile_actions(overrides.items()),
        retry_after=lambda: retry_after,
        now=now,
        created_at=now - age,
        deadline=deadline,
        draw=lambda: draw,
    )
    if decision.status is JobStatus.SUCCEEDED:
        assert decision is SUCCESS
        assert status_code is not None
        assert failure_kind in {None, FailureKind.HTTP_STATUS}
    elif decision.status is JobStatus.RETRYING:
        assert decision.outcome is Outcome.RETRIED
        assert decision.run_at is not None
        assert attempt < max_attempts
        assert now <= decision.run_at <= now + policy.max + 1e-3
        assert deadline is None or decision.run_at < deadline
        assert max_elapsed is None or decision.run_at <= now - age + max_elapsed
        assert decision.failure_kind not in NEVER_RETRIED
    else:
        assert (decision.status, decision.outcome) == (JobStatus.FAILED, Outcome.FAILED)
    if decision.status is not JobStatus.SUCCEEDED:
        assert decision.failure_kind is not None
    if decision.status is not JobStatus.RETRYING:
        assert decision.run_at is None
    if decision.disable_reaction:
        assert (status_code, decision.failure_kind) == (410, FailureKind.GONE)
    if decision.exhausted:
        assert decision.status is JobStatus.FAILED
        assert attempt >= max_attempts or max_elapsed is not None


@given(statuses, actions)
def test_an_override_of_a_status_always_applies(
    status: int, overrides: dict[str, StatusAction]
) -> None:
    """Other overrides do not affect it."""
    for action in StatusAction:
        rules = compile_actions([*overrides.items(), (str(status), action)])
        assert rules.action(status) is action


@given(st.text() | st.binary() | st.from_regex(r"[A-Za-z0-9 ,:+\-]{0,60}", fullmatch=True))
def test_retry_after_never_raises(value: str | bytes) -> None:
    """Servers can send arbitrary values."""
    seconds = parse_retry_after(value, 1.7e9)
    assert seconds is None or 0 <= seconds <= 315_360_000


@given(st.binary())
def test_any_response_head_can_be_searched_for_retry_after(head: bytes) -> None:
    """The head can be arbitrary bytes."""
    for text in (head, b"HTTP/1.1 503 x\r\nRetry-After:" + head):
        seconds = retry_after_of(text, 1.7e9)
        assert seconds is None or seconds >= 0

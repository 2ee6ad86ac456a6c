"""Tests of the outcome of an attempt."""

from __future__ import annotations

from typing import Any

import pytest

from delivery.errors import InvalidReaction
from delivery.models import FailureKind, JobStatus, Outcome, RetryPolicy, StatusAction
from delivery.policy.outcome import (
    DEFAULT_RULES,
    NEVER_RETRIED,
    SUCCESS,
    Decision,
    compile_actions,
    decide,
    validate_status_actions,
)

NOW = 1_000.0
POLICY = RetryPolicy(jitter=0.0)


def decision(**changes: Any) -> Decision:
    """Decide the outcome of attempt 1 of 10 at time 1000, with changed arguments."""
    values: dict[str, Any] = {
        "status_code": None,
        "failure_kind": None,
        "attempt": 1,
        "max_attempts": 10,
        "policy": POLICY,
        "rules": DEFAULT_RULES,
        "retry_after": lambda: None,
        "now": NOW,
        "created_at": NOW,
        "deadline": None,
        "draw": lambda: 0.5,
    }
    return decide(**(values | changes))


def with_actions(**actions: str) -> Any:
    """Compile overrides. The keyword `_404` stands for the key `404`."""
    pairs = {key.removeprefix("_"): value for key, value in actions.items()}
    return compile_actions(validate_status_actions(pairs))


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
def test_2xx_succeeds(status: int) -> None:
    assert decision(status_code=status) is SUCCESS


def test_the_last_attempt_can_succeed() -> None:
    """The limit of attempts and the deadline apply only to retries."""
    assert decision(status_code=200, attempt=10, deadline=NOW - 1) is SUCCESS


@pytest.mark.parametrize(
    "status",
    [300, 301, 302, 304, 307, 308, 400, 405, 406, 411, 413, 414, 415, 422, 431, 501, 505],
)
def test_final_statuses_are_not_retried(status: int) -> None:
    """The same request can never succeed. Redirects are not followed."""
    assert decision(status_code=status) == Decision(
        JobStatus.FAILED, Outcome.FAILED, failure_kind=FailureKind.HTTP_STATUS
    )


@pytest.mark.parametrize(
    "status",
    [101, 401, 402, 403, 404, 407, 408, 409, 418, 421, 423, 425, 429, 451, 500, 502, 503, 504, 999],
)
def test_other_statuses_are_retried(status: int) -> None:
    """Their causes can be temporary: a deployment, rotated credentials, overload."""
    assert decision(status_code=status) == Decision(
        JobStatus.RETRYING, Outcome.RETRIED, NOW + 10, FailureKind.HTTP_STATUS
    )


def test_410_fails_and_disables_the_reaction() -> None:
    """The endpoint is gone permanently."""
    assert decision(status_code=410) == Decision(
        JobStatus.FAILED,
        Outcome.FAILED,
        failure_kind=FailureKind.GONE,
        disable_reaction=True,
    )


@pytest.mark.parametrize("kind", sorted(NEVER_RETRIED))
def test_final_failure_kinds_are_not_retried(kind: FailureKind) -> None:
    """Such a job is not exhausted, and its reaction stays enabled."""
    found = decision(failure_kind=kind)
    assert (found.status, found.failure_kind, found.exhausted) == (JobStatus.FAILED, kind, False)
    assert not found.disable_reaction


@pytest.mark.parametrize("kind", ["dns", "transport", "tls", "timeout", "internal"])
def test_network_failures_are_retried(kind: str) -> None:
    found = decision(failure_kind=FailureKind(kind))
    assert (found.status, found.run_at) == (JobStatus.RETRYING, NOW + 10)
    assert found.failure_kind == kind


def test_the_failure_kind_of_an_incomplete_response_overrides_its_status() -> None:
    """A 200 with a truncated body is a transport failure."""
    found = decision(status_code=200, failure_kind=FailureKind.TRANSPORT)
    assert (found.status, found.failure_kind) == (JobStatus.RETRYING, FailureKind.TRANSPORT)


def test_the_failure_kind_http_status_defers_to_the_status() -> None:
    found = decision(status_code=400, failure_kind=FailureKind.HTTP_STATUS)
    assert found.status is JobStatus.FAILED


def test_no_status_and_no_failure_kind_is_an_internal_failure() -> None:
    """An empty result is a bug of the engine."""
    assert decision().failure_kind is FailureKind.INTERNAL


def test_a_retryable_failure_of_the_last_attempt_is_exhausted() -> None:
    """Exhausted jobs are the dead letters."""
    found = decision(status_code=500, attempt=10)
    assert (found.status, found.exhausted) == (JobStatus.FAILED, True)
    assert found.run_at is None
    assert found.failure_kind is FailureKind.HTTP_STATUS


def test_a_final_failure_is_not_exhausted() -> None:
    """This includes the last attempt."""
    assert not decision(status_code=400, attempt=10).exhausted


@pytest.mark.parametrize(("deadline", "status"), [(10.0, "failed"), (10.1, "retrying")])
def test_the_next_attempt_must_start_before_the_deadline(deadline: float, status: str) -> None:
    """If it cannot, the job fails immediately."""
    found = decision(status_code=500, deadline=NOW + deadline)
    assert found.status == status
    if status == "failed":
        assert found.failure_kind is FailureKind.DEADLINE
        assert not found.exhausted


@pytest.mark.parametrize(("elapsed", "status"), [(9.9, "failed"), (10.0, "retrying")])
def test_the_next_attempt_must_start_within_max_elapsed(elapsed: float, status: str) -> None:
    """If it cannot, the job is exhausted."""
    found = decision(status_code=500, policy=RetryPolicy(jitter=0.0, max_elapsed=elapsed))
    assert found.status == status
    assert found.exhausted is (status == "failed")


@pytest.mark.parametrize("status", [401, 408, 429, 500, 503])
def test_retry_after_is_honoured_for_every_retried_status(status: int) -> None:
    """The longer of delay and Retry-After applies, up to `max`."""
    assert decision(status_code=status, retry_after=lambda: 60.0).run_at == NOW + 60
    assert decision(status_code=status, retry_after=lambda: 2.0).run_at == NOW + 10
    assert decision(status_code=status, retry_after=lambda: 1e9).run_at == NOW + POLICY.max


def test_a_retry_after_beyond_the_deadline_fails_the_job() -> None:
    """A retry before the end of Retry-After would be pointless."""
    found = decision(status_code=429, retry_after=lambda: 60.0, deadline=NOW + 30)
    assert found.failure_kind is FailureKind.DEADLINE


def test_a_success_evaluates_neither_retry_after_nor_the_random_number() -> None:
    """Only a retry pays for them."""

    def never() -> float:
        pytest.fail("evaluated")

    assert decision(status_code=204, retry_after=never, draw=never) is SUCCESS


def test_overrides_take_precedence_over_the_default_rules() -> None:
    """Each of the three actions replaces a different default."""
    rules = with_actions(_404="fail", _400="retry", _304="succeed")
    assert decision(status_code=404, rules=rules).status is JobStatus.FAILED
    assert decision(status_code=400, rules=rules).status is JobStatus.RETRYING
    assert decision(status_code=304, rules=rules) is SUCCESS
    assert decision(status_code=500, rules=rules).status is JobStatus.RETRYING
    assert decision(status_code=202, rules=rules) is SUCCESS


def test_a_status_takes_precedence_over_its_class() -> None:
    """The order of the overrides does not matter."""
    for rules in (
        with_actions(_404="succeed", _4xx="fail"),
        with_actions(_4xx="fail", _404="succeed"),
    ):
        assert decision(status_code=404, rules=rules) is SUCCESS
        assert decision(status_code=429, rules=rules).status is JobStatus.FAILED


def test_an_override_can_retry_a_2xx() -> None:
    """Some endpoints respond with 202 while they are busy."""
    assert decision(status_code=202, rules=with_actions(_202="retry")).status is JobStatus.RETRYING


def test_only_an_override_of_410_itself_avoids_disabling() -> None:
    """`4xx` set to `fail` does not change 410. `410` set to `fail` leaves the reaction enabled."""
    assert decision(status_code=410, rules=with_actions(_4xx="fail")).disable_reaction
    by_name = decision(status_code=410, rules=with_actions(_410="fail"))
    assert (by_name.status, by_name.disable_reaction) == (JobStatus.FAILED, False)
    assert by_name.failure_kind is FailureKind.HTTP_STATUS
    retried = decision(status_code=410, rules=with_actions(_4xx="retry"))
    assert (retried.status, retried.disable_reaction) == (JobStatus.RETRYING, False)


def test_overrides_are_normalized() -> None:
    """Classes become lower case, and actions members of the enum."""
    assert validate_status_actions({"5XX": "fail", "404": "succeed"}) == (
        ("5xx", StatusAction.FAIL),
        ("404", StatusAction.SUCCEED),
    )
    assert compile_actions(()) is DEFAULT_RULES


@pytest.mark.parametrize("status", ["", "40", "4040", "x04", "0xx", "4x4", "all", "٤٠٤"])
def test_an_invalid_status_is_rejected(status: str) -> None:
    """The error gives an example."""
    with pytest.raises(InvalidReaction, match="such as 404"):
        validate_status_actions({status: "fail"})


def test_an_unknown_action_is_rejected() -> None:
    """The error lists the valid actions."""
    with pytest.raises(InvalidReaction, match="succeed, retry, fail"):
        validate_status_actions({"404": "ignore"})


def test_a_duplicate_status_is_rejected() -> None:
    """Keys that differ only in case are duplicates."""
    with pytest.raises(InvalidReaction, match="twice"):
        validate_status_actions([("4XX", "fail"), ("4xx", "retry")])


@pytest.mark.parametrize("actions", [(), (("429", "succeed"), ("2xx", "retry"), ("200", "fail"))])
def test_a_success_is_found_without_a_whole_decision(actions: Any) -> None:
    rules = compile_actions([(status, StatusAction(action)) for status, action in actions])
    for status in range(100, 600):
        for kind in (None, FailureKind.HTTP_STATUS, FailureKind.TIMEOUT):
            decided = decision(status_code=status, failure_kind=kind, rules=rules)
            assert rules.is_success(status, kind) == (decided.status is JobStatus.SUCCEEDED)
    assert not rules.is_success(None, None)

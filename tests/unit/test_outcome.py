"""What an attempt leads to."""

from __future__ import annotations

from typing import Any

import pytest

from delivery.errors import InvalidReaction
from delivery.models import FailureKind, JobStatus, Outcome, RetryPolicy, StatusAction
from delivery.policy.outcome import (
    DEFAULT_RULES,
    NEVER_RETRIED,
    SUCCESS,
    Verdict,
    compile_actions,
    decide,
    validate_status_actions,
)

NOW = 1_000.0
POLICY = RetryPolicy(jitter=0.0)


def verdict(**changes: Any) -> Verdict:
    """What the first of ten attempts at time 1000 leads to, but for the changes."""
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
    """Compiled overrides; `_404` stands for the key `404`."""
    pairs = {key.removeprefix("_"): value for key, value in actions.items()}
    return compile_actions(validate_status_actions(pairs))


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
def test_2xx_is_success(status: int) -> None:
    """Every 2xx, whatever its body."""
    assert verdict(status_code=status) is SUCCESS


def test_success_on_the_last_attempt_is_success() -> None:
    """Used-up attempts and deadlines do not matter to an answer that came."""
    assert verdict(status_code=200, attempt=10, deadline=NOW - 1) is SUCCESS


@pytest.mark.parametrize(
    "status",
    [300, 301, 302, 304, 307, 308, 400, 405, 406, 411, 413, 414, 415, 422, 431, 501, 505],
)
def test_hopeless_statuses_are_not_retried(status: int) -> None:
    """The same request can never succeed, and redirects are not followed."""
    assert verdict(status_code=status) == Verdict(
        JobStatus.FAILED, Outcome.FAILED, failure_kind=FailureKind.HTTP_STATUS
    )


@pytest.mark.parametrize(
    "status",
    [101, 401, 402, 403, 404, 407, 408, 409, 418, 421, 423, 425, 429, 451, 500, 502, 503, 504, 999],
)
def test_everything_else_is_retried(status: int) -> None:
    """Deploys, rotated credentials, overload: all may pass."""
    assert verdict(status_code=status) == Verdict(
        JobStatus.RETRYING, Outcome.RETRIED, NOW + 10, FailureKind.HTTP_STATUS
    )


def test_gone_fails_and_disables_the_reaction() -> None:
    """410 says that the endpoint will not come back."""
    assert verdict(status_code=410) == Verdict(
        JobStatus.FAILED,
        Outcome.FAILED,
        failure_kind=FailureKind.GONE,
        disable_reaction=True,
    )


@pytest.mark.parametrize("kind", sorted(NEVER_RETRIED))
def test_failures_that_cannot_change_are_final(kind: FailureKind) -> None:
    """Blocked addresses and misconfigured calls are not tried again, nor do they count as dead."""
    found = verdict(failure_kind=kind)
    assert (found.status, found.failure_kind, found.exhausted) == (JobStatus.FAILED, kind, False)
    assert not found.disable_reaction


@pytest.mark.parametrize("kind", ["dns", "transport", "tls", "timeout", "internal"])
def test_failures_on_the_way_are_retried(kind: str) -> None:
    """The network may be better next time."""
    found = verdict(failure_kind=FailureKind(kind))
    assert (found.status, found.run_at) == (JobStatus.RETRYING, NOW + 10)
    assert found.failure_kind == kind


def test_incomplete_answer_is_not_judged_by_its_status() -> None:
    """A 200 whose body broke off is a failure of the transport."""
    found = verdict(status_code=200, failure_kind=FailureKind.TRANSPORT)
    assert (found.status, found.failure_kind) == (JobStatus.RETRYING, FailureKind.TRANSPORT)


def test_kind_http_status_leaves_it_to_the_status() -> None:
    """The two say the same."""
    found = verdict(status_code=400, failure_kind=FailureKind.HTTP_STATUS)
    assert found.status is JobStatus.FAILED


def test_neither_answer_nor_failure_counts_as_internal() -> None:
    """An exchange that says nothing is our own mistake, and shown as such."""
    assert verdict().failure_kind is FailureKind.INTERNAL


def test_last_attempt_that_fails_is_exhausted() -> None:
    """These are the dead letters."""
    found = verdict(status_code=500, attempt=10)
    assert (found.status, found.exhausted) == (JobStatus.FAILED, True)
    assert found.run_at is None
    assert found.failure_kind is FailureKind.HTTP_STATUS


def test_failure_that_is_not_retried_is_not_exhausted() -> None:
    """Also on the last attempt."""
    assert not verdict(status_code=400, attempt=10).exhausted


@pytest.mark.parametrize(("deadline", "status"), [(10.0, "failed"), (10.1, "retrying")])
def test_next_attempt_must_begin_before_the_deadline(deadline: float, status: str) -> None:
    """A retry that would come too late fails the job now."""
    found = verdict(status_code=500, deadline=NOW + deadline)
    assert found.status == status
    if status == "failed":
        assert found.failure_kind is FailureKind.DEADLINE
        assert not found.exhausted


@pytest.mark.parametrize(("elapsed", "status"), [(9.9, "failed"), (10.0, "retrying")])
def test_next_attempt_must_begin_within_max_elapsed(elapsed: float, status: str) -> None:
    """Time used up counts like attempts used up."""
    found = verdict(status_code=500, policy=RetryPolicy(jitter=0.0, max_elapsed=elapsed))
    assert found.status == status
    assert found.exhausted is (status == "failed")


@pytest.mark.parametrize("status", [401, 408, 429, 500, 503])
def test_retry_after_is_honoured_on_every_retried_status(status: int) -> None:
    """The longer of the two waits counts, up to `max`."""
    assert verdict(status_code=status, retry_after=lambda: 60.0).run_at == NOW + 60
    assert verdict(status_code=status, retry_after=lambda: 2.0).run_at == NOW + 10
    assert verdict(status_code=status, retry_after=lambda: 1e9).run_at == NOW + POLICY.max


def test_a_retry_after_beyond_the_deadline_fails_the_job() -> None:
    """There is no point in asking earlier than the endpoint wants."""
    found = verdict(status_code=429, retry_after=lambda: 60.0, deadline=NOW + 30)
    assert found.failure_kind is FailureKind.DEADLINE


def test_success_asks_for_neither_header_nor_random_number() -> None:
    """What is only needed for a retry costs nothing otherwise."""

    def never() -> float:
        pytest.fail("asked for")

    assert verdict(status_code=204, retry_after=never, draw=never) is SUCCESS


def test_overrides_go_before_the_rules() -> None:
    """Each of the three actions, on a status that means something else."""
    rules = with_actions(_404="fail", _400="retry", _304="succeed")
    assert verdict(status_code=404, rules=rules).status is JobStatus.FAILED
    assert verdict(status_code=400, rules=rules).status is JobStatus.RETRYING
    assert verdict(status_code=304, rules=rules) is SUCCESS
    assert verdict(status_code=500, rules=rules).status is JobStatus.RETRYING
    assert verdict(status_code=202, rules=rules) is SUCCESS


def test_a_status_goes_before_its_class() -> None:
    """`404` beats `4xx`, whichever was given first."""
    for rules in (
        with_actions(_404="succeed", _4xx="fail"),
        with_actions(_4xx="fail", _404="succeed"),
    ):
        assert verdict(status_code=404, rules=rules) is SUCCESS
        assert verdict(status_code=429, rules=rules).status is JobStatus.FAILED


def test_2xx_may_be_made_a_failure() -> None:
    """For endpoints that answer 202 while they are busy."""
    assert verdict(status_code=202, rules=with_actions(_202="retry")).status is JobStatus.RETRYING


def test_410_can_be_overridden() -> None:
    """Failing its whole class leaves it gone; naming it keeps the reaction."""
    assert verdict(status_code=410, rules=with_actions(_4xx="fail")).disable_reaction
    by_name = verdict(status_code=410, rules=with_actions(_410="fail"))
    assert (by_name.status, by_name.disable_reaction) == (JobStatus.FAILED, False)
    assert by_name.failure_kind is FailureKind.HTTP_STATUS
    retried = verdict(status_code=410, rules=with_actions(_4xx="retry"))
    assert (retried.status, retried.disable_reaction) == (JobStatus.RETRYING, False)


def test_valid_actions_are_stored_in_one_form() -> None:
    """Classes in small letters, numbers as texts, actions as words of the model."""
    assert validate_status_actions({"5XX": "fail", "404": "succeed"}) == (
        ("5xx", StatusAction.FAIL),
        ("404", StatusAction.SUCCEED),
    )
    assert compile_actions(()) is DEFAULT_RULES


@pytest.mark.parametrize("status", ["", "40", "4040", "x04", "0xx", "4x4", "all", "٤٠٤"])
def test_wrong_status_is_refused(status: str) -> None:
    """The message shows what one looks like."""
    with pytest.raises(InvalidReaction, match="such as 404"):
        validate_status_actions({status: "fail"})


def test_wrong_action_is_refused_with_the_known() -> None:
    """The message lists the actions."""
    with pytest.raises(InvalidReaction, match="succeed, retry, fail"):
        validate_status_actions({"404": "ignore"})


def test_status_given_twice_is_refused() -> None:
    """It could mean either."""
    with pytest.raises(InvalidReaction, match="twice"):
        validate_status_actions([("4XX", "fail"), ("4xx", "retry")])


@pytest.mark.parametrize("actions", [(), (("429", "succeed"), ("2xx", "retry"), ("200", "fail"))])
def test_a_success_is_found_without_a_whole_decision(actions: Any) -> None:
    rules = compile_actions([(status, StatusAction(action)) for status, action in actions])
    for status in range(100, 600):
        for kind in (None, FailureKind.HTTP_STATUS, FailureKind.TIMEOUT):
            decided = verdict(status_code=status, failure_kind=kind, rules=rules)
            assert rules.is_success(status, kind) == (decided.status is JobStatus.SUCCEEDED)
    assert not rules.is_success(None, None)

"""What an attempt leads to: success, another attempt, or failure.

Without overrides, by HTTP status:

    2xx                                               success
    410                                               failure, and the reaction is disabled
    3xx                                               failure: redirects are not followed
    400 405 406 411 413 414 415 422 431 501 505       failure: this request can never succeed
    all others (401 403 404 408 409 425 429, 5xx …)   another attempt

and where there was no answer, by failure kind: `blocked`, `misconfigured`, `gone` and `deadline`
fail, all others are tried again.

A reaction's overrides go before these rules, and among them a status (`"404"`) before its class
(`"4xx"`). `"4xx": "fail"` leaves 410 as it is, for it fails anyway; `"410": "fail"` says that it
fails without disabling the reaction.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from delivery.errors import InvalidReaction
from delivery.models import FailureKind, JobStatus, Outcome, RetryPolicy, StatusAction
from delivery.policy.retry import backoff, elapses_at

__all__ = [
    "DEFAULT_RULES",
    "NEVER_RETRIED",
    "SUCCESS",
    "OutcomeRules",
    "Verdict",
    "compile_actions",
    "decide",
    "default_action",
    "validate_status_actions",
]

_GONE: Final = 410
_HTTP_STATUS: Final = FailureKind.HTTP_STATUS

_HOPELESS: Final = frozenset({400, 405, 406, 411, 413, 414, 415, 422, 431, 501, 505})

NEVER_RETRIED: Final = frozenset(
    {
        FailureKind.BLOCKED,
        FailureKind.DEADLINE,
        FailureKind.GONE,
        FailureKind.MISCONFIGURED,
    },
)
"""Failures without an answer after which another attempt cannot end differently."""

_STATUS_OR_CLASS: Final = re.compile(r"[1-9](?:[0-9]{2}|xx)", re.ASCII)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What an attempt led to, for its job and for its log row."""

    status: JobStatus
    outcome: Outcome
    run_at: float | None = None
    """When the next attempt is due, in seconds since the epoch; None: there is none."""
    failure_kind: FailureKind | None = None
    exhausted: bool = False
    """Whether it would be tried again, had it not used up its attempts or `max_elapsed`."""
    disable_reaction: bool = False


SUCCESS: Final = Verdict(JobStatus.SUCCEEDED, Outcome.SUCCEEDED)
"""The verdict on every success."""


@dataclass(frozen=True, slots=True)
class OutcomeRules:
    """A reaction's overrides, made ready by `compile_actions`."""

    statuses: Mapping[int, StatusAction]
    classes: Mapping[int, StatusAction]
    """By the first digit of the status."""

    def action(self, status_code: int) -> StatusAction:
        """What a response with this status means."""
        if not self.statuses and not self.classes:
            return default_action(status_code)
        return (
            self.statuses.get(status_code)
            or self.classes.get(status_code // 100)
            or default_action(status_code)
        )

    def is_success(self, status_code: int | None, failure_kind: FailureKind | None) -> bool:
        """Return whether an attempt that ended like this succeeded."""
        if status_code is None or not (failure_kind is None or failure_kind is _HTTP_STATUS):
            return False
        if not self.statuses and not self.classes:
            return 200 <= status_code < 300  # noqa: PLR2004 - the class of successful statuses
        return self.action(status_code) is StatusAction.SUCCEED

    def is_gone(self, status_code: int) -> bool:
        """Whether a failure with this status also disables the reaction."""
        return status_code == _GONE and _GONE not in self.statuses


DEFAULT_RULES: Final = OutcomeRules({}, {})
"""The rules without overrides."""


def default_action(status_code: int) -> StatusAction:
    """What a status means without overrides."""
    if 200 <= status_code < 300:  # noqa: PLR2004 - the classes of HTTP statuses
        return StatusAction.SUCCEED
    if 300 <= status_code < 400 or status_code in _HOPELESS or status_code == _GONE:  # noqa: PLR2004
        return StatusAction.FAIL
    return StatusAction.RETRY


def compile_actions(actions: Iterable[tuple[str, StatusAction]]) -> OutcomeRules:
    """Make valid overrides ready for `decide`."""
    statuses: dict[int, StatusAction] = {}
    classes: dict[int, StatusAction] = {}
    for status, action in actions:
        if status.endswith("xx"):
            classes[int(status[0])] = action
        else:
            statuses[int(status)] = action
    return OutcomeRules(statuses, classes) if statuses or classes else DEFAULT_RULES


def validate_status_actions(
    actions: Mapping[str, str] | Iterable[tuple[str, str]],
) -> tuple[tuple[str, StatusAction], ...]:
    """The overrides in the form in which they are stored: `"404"` or `"4xx"`, and an action.

    Raises:
        InvalidReaction: if a status or an action is not one, or a status is given twice.
    """
    pairs: Iterable[tuple[object, object]] = (
        actions.items() if isinstance(actions, Mapping) else actions
    )
    checked: dict[str, StatusAction] = {}
    for status, action in pairs:
        key = str(status).lower()
        if not _STATUS_OR_CLASS.fullmatch(key):
            message = (
                f"status_actions has {status!r}, which is neither a status such as 404"
                " nor a class such as 4xx"
            )
            raise InvalidReaction(message)
        if key in checked:
            message = f"status_actions has {key} twice; give it once"
            raise InvalidReaction(message)
        try:
            checked[key] = StatusAction(str(action))
        except ValueError:
            message = (
                f"status_actions has {action!r} for {key}, which is not one of"
                f" {', '.join(StatusAction)}"
            )
            raise InvalidReaction(message) from None
    return tuple(checked.items())


def decide(
    *,
    status_code: int | None,
    failure_kind: FailureKind | None,
    attempt: int,
    max_attempts: int,
    policy: RetryPolicy,
    rules: OutcomeRules,
    retry_after: Callable[[], float | None],
    now: float,
    created_at: float,
    deadline: float | None,
    draw: Callable[[], float],
    due_at: float | None = None,
) -> Verdict:
    """What an attempt led to. Times are seconds since the epoch.

    Args:
        status_code: The answer's status, if any.
        failure_kind: Set if there was no complete answer, and then what counts; `http_status`
            leaves it to the status. With neither, the attempt counts as `internal`.
        attempt: The number of this attempt, from 1.
        max_attempts: The job's attempts altogether.
        policy: Gives the delay and `max_elapsed`.
        rules: Gives the meaning of the status.
        retry_after: Called at most once, for a retry: the seconds the answer asks to wait, if any.
        now: When the attempt ended.
        created_at: When the job was made; `max_elapsed` runs from here, or from `due_at`.
        deadline: The next attempt must begin before it.
        draw: Called at most once, for a retry: a random number from 0 to 1.
        due_at: When the first attempt was asked for, if the job was delayed on purpose.
    """
    if rules.is_success(status_code, failure_kind):
        return SUCCESS
    disable = False
    if status_code is not None and (failure_kind is None or failure_kind is _HTTP_STATUS):
        retried = rules.action(status_code) is StatusAction.RETRY
        disable = not retried and rules.is_gone(status_code)
        kind = FailureKind.GONE if disable else FailureKind.HTTP_STATUS
    else:
        kind = FailureKind.INTERNAL if failure_kind is None else failure_kind
        retried = kind not in NEVER_RETRIED
    if not retried:
        return _failed(kind, disable_reaction=disable)
    if attempt >= max_attempts:
        return _failed(kind, exhausted=True)
    delay = backoff(policy, attempt, draw())
    asked = retry_after()
    if asked is not None and asked > delay:
        delay = min(asked, policy.max)
    run_at = now + delay
    if deadline is not None and run_at >= deadline:
        return _failed(FailureKind.DEADLINE)
    latest = elapses_at(policy, created_at, due_at)
    if latest is not None and run_at > latest:
        return _failed(kind, exhausted=True)
    return Verdict(JobStatus.RETRYING, Outcome.RETRIED, run_at, kind)


def _failed(
    kind: FailureKind, *, exhausted: bool = False, disable_reaction: bool = False
) -> Verdict:
    return Verdict(JobStatus.FAILED, Outcome.FAILED, None, kind, exhausted, disable_reaction)

"""Outcome of an attempt: success, retry or failure.

The default rules by HTTP status:

    2xx                                               success
    410                                               failure; disables the reaction
    3xx                                               failure: redirects are not followed
    400 405 406 411 413 414 415 422 431 501 505       failure: the request can never succeed
    all others (401 403 404 408 409 425 429, 5xx …)   retry

Without a complete response, the failure kind decides: `blocked`, `misconfigured`, `gone` and
`deadline` fail, all others are retried.

The overrides of a reaction take precedence over the default rules. An override for a status
(`"404"`) takes precedence over one for its class (`"4xx"`). With `"4xx": "fail"`, 410 still
disables the reaction; with `"410": "fail"`, it fails without disabling the reaction.
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
    "Decision",
    "OutcomeRules",
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
"""Failure kinds that are final: another attempt would fail in the same way."""

_STATUS_OR_CLASS: Final = re.compile(r"[1-9](?:[0-9]{2}|xx)", re.ASCII)


@dataclass(frozen=True, slots=True)
class Decision:
    """Outcome of an attempt for its job and its delivery log."""

    status: JobStatus
    outcome: Outcome
    run_at: float | None = None
    """Time of the next attempt, in seconds since the epoch. None without a next attempt."""
    failure_kind: FailureKind | None = None
    exhausted: bool = False
    """True if only the limit of attempts or `max_elapsed` prevents a retry."""
    disable_reaction: bool = False


SUCCESS: Final = Decision(JobStatus.SUCCEEDED, Outcome.SUCCEEDED)
"""Decision on every successful attempt."""


@dataclass(frozen=True, slots=True)
class OutcomeRules:
    """Overrides of a reaction, compiled by `compile_actions`."""

    statuses: Mapping[int, StatusAction]
    classes: Mapping[int, StatusAction]
    """Overrides for classes of statuses, by the first digit."""

    def action(self, status_code: int) -> StatusAction:
        """Return the action for a response with this status."""
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
        """Return whether a failure with this status also disables the reaction."""
        return status_code == _GONE and _GONE not in self.statuses


DEFAULT_RULES: Final = OutcomeRules({}, {})
"""Rules without overrides."""


def default_action(status_code: int) -> StatusAction:
    """Return the action for a status without overrides."""
    if 200 <= status_code < 300:  # noqa: PLR2004 - the classes of HTTP statuses
        return StatusAction.SUCCEED
    if 300 <= status_code < 400 or status_code in _HOPELESS or status_code == _GONE:  # noqa: PLR2004
        return StatusAction.FAIL
    return StatusAction.RETRY


def compile_actions(actions: Iterable[tuple[str, StatusAction]]) -> OutcomeRules:
    """Compile validated overrides for `decide`."""
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
    """Validate overrides and return them normalized for storage.

    A key is a status (`"404"`) or a class of statuses (`"4xx"`), a value an action.

    Raises:
        InvalidReaction: if a status or an action is invalid, or a status occurs twice.
    """
    pairs: Iterable[tuple[object, object]] = (
        actions.items() if isinstance(actions, Mapping) else actions
    )
    checked: dict[str, StatusAction] = {}
    for status, action in pairs:
        key = str(status).lower()
        if not _STATUS_OR_CLASS.fullmatch(key):
            message = (
                f"status_actions contains {status!r}; use a status such as 404"
                " or a class such as 4xx"
            )
            raise InvalidReaction(message)
        if key in checked:
            message = f"status_actions contains {key} twice; remove one"
            raise InvalidReaction(message)
        try:
            checked[key] = StatusAction(str(action))
        except ValueError:
            message = (
                f"status_actions maps {key} to {action!r}; use one of {', '.join(StatusAction)}"
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
) -> Decision:
    """Decide the outcome of an attempt. Times are in seconds since the epoch.

    Args:
        status_code: Status of the response, if any.
        failure_kind: Reason for an incomplete response. Takes precedence over the status, unless it
            is `http_status`. Without a status and a failure kind, the attempt fails as `internal`.
        attempt: Number of this attempt, from 1.
        max_attempts: Maximum number of attempts of the job.
        policy: Retry policy: delay and `max_elapsed`.
        rules: Action for each status.
        retry_after: Function that returns the seconds of the Retry-After header, if any. Called at
            most once, for a retry.
        now: Time at which the attempt ended.
        created_at: Creation time of the job. `max_elapsed` starts here, or at `due_at`.
        deadline: Time before which the next attempt must start.
        draw: Function that returns a random number from 0 to 1. Called at most once, for a retry.
        due_at: Scheduled time of the first attempt, if the job was delayed.
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
    return Decision(JobStatus.RETRYING, Outcome.RETRIED, run_at, kind)


def _failed(
    kind: FailureKind, *, exhausted: bool = False, disable_reaction: bool = False
) -> Decision:
    return Decision(JobStatus.FAILED, Outcome.FAILED, None, kind, exhausted, disable_reaction)

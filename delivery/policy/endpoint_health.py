"""Endpoint health: pauses, the circuit breaker and disabling.

A call is a *failure* if its outcome calls for a retry: no response, or a status such as 404 or 500.
429 is not a failure: the endpoint works, but requests a lower rate. A final response (200, but also
400) shows that the endpoint works and resets its health.

Some endpoints reject every message once or twice and then accept it. The first two failures of a
job are therefore *early* failures, which are weak evidence. A failure is *full* if its job has
failed twice before or is not retried.

- Pause: after 429, 502, 503 or 504 with a Retry-After header, the reaction pauses for the requested
  time, up to `longest_pause`, even if running calls succeed. After three consecutive 429 without
  the header, it pauses for 0.1 s, doubling up to 10 s. All four statuses also halve the calls in
  flight of each worker (`delivery.queue.windows`).
- Open: after `open_failures` consecutive full failures and `open_after` seconds without a success,
  the circuit opens, and calls are suspended for `probe_after` seconds. Without a success for
  `open_at_latest` seconds, early failures count as well, so that an endpoint whose retries are far
  apart is not called all that time.
- Half open: then one call at a time probes the endpoint, preferably for a job that has failed
  before. A failed probe reopens the circuit for twice the time, up to `probe_max` seconds.
- Disabled: after `disable_failures` failures and `disable_after` seconds without a success, the
  reaction is disabled.

The circuit breaker follows M. Nygard (Release It!, 2007). Times are in seconds since the epoch.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from delivery.models import EngineEventType, FailureKind, JobStatus

if TYPE_CHECKING:
    from collections.abc import Callable

    from delivery.policy.outcome import Decision

__all__ = [
    "HEALTHY",
    "THROTTLES",
    "CallResult",
    "Change",
    "Health",
    "HealthRules",
    "Observed",
    "classify",
    "is_early",
    "judge",
    "observe",
]

THROTTLES: Final = frozenset({429, 502, 503, 504})
"""Statuses that request a lower rate."""
_TOO_MANY_REQUESTS: Final = 429
_TOLERATED: Final = 3
"""Consecutive responses 429 without Retry-After that pause the reaction."""
_FIRST_PAUSE: Final = 0.1
_LONGEST_UNASKED_PAUSE: Final = 10.0
_MOST_DOUBLINGS: Final = 30
_EARLY: Final = 2
"""Number of attempts of a job whose failures are early."""
_UNREACHED: Final = frozenset(
    {FailureKind.TRANSPORT, FailureKind.TLS, FailureKind.DNS, FailureKind.TIMEOUT}
)


class CallResult(StrEnum):
    """Evidence of one call about its endpoint."""

    WORKS = "works"
    FAILED = "failed"
    THROTTLED = "throttled"
    """The endpoint works, but requests a lower rate: 429."""
    OVERLOADED = "overloaded"
    """The call failed, and the response may carry Retry-After: 502, 503, 504."""


@dataclass(frozen=True, slots=True)
class HealthRules:
    """Thresholds of the health rules, from the settings section `health`."""

    open_failures: int
    open_after: float
    probe_after: float
    probe_max: float
    longest_pause: float
    disable_failures: int
    disable_after: float | None
    open_at_latest: float = 60.0


@dataclass(frozen=True, slots=True)
class Health:
    """Health of a reaction's endpoint."""

    failures: int = 0
    """Number of consecutive failures."""
    failing_since: float | None = None
    throttles: int = 0
    """Number of consecutive judgements with a request for a lower rate."""
    openings: int = 0
    """Number of times the circuit has opened since it was closed. 0 while it is closed."""
    paused_until: float = 0.0
    early: int = 0
    """Number of early failures among them."""


HEALTHY: Final = Health()


@dataclass(frozen=True, slots=True)
class Observed:
    """Results of a reaction's calls since its last judgement."""

    worked: bool = False
    """True if any call showed that the endpoint works."""
    failures: int = 0
    """Number of failures since the last success."""
    throttles: int = 0
    """Number of consecutive responses 429 at the end."""
    retry_after: float | None = None
    """Latest end of a pause that the endpoint requested."""
    failing_since: float | None = None
    """End time of the first failure."""
    version: int | None = None
    """Version of the reaction that the calls used. None for any version."""
    last_began: float = 0.0
    """Start time of the last failure. Distinguishes a probe, which starts while the circuit is half
    open, from older calls."""
    early: int = 0
    """Number of early failures among them."""


@dataclass(frozen=True, slots=True)
class Change:
    """New health of a reaction, and the trigger to raise."""

    health: Health
    event_type: EngineEventType | None = None


def classify(
    decision: Decision, status_code: int | None, failure_kind: FailureKind | None
) -> CallResult | None:
    """Return the evidence of a call about its endpoint; None if it has none.

    Args:
        decision: Decision of the attempt.
        status_code: Status of the response, if any.
        failure_kind: Reason for an incomplete response. None for a complete one.
    """
    if decision.status is JobStatus.SUCCEEDED:
        return CallResult.WORKS
    if failure_kind in _UNREACHED:
        return CallResult.FAILED
    if failure_kind is not None and failure_kind is not FailureKind.HTTP_STATUS:
        return None
    given_up = decision.exhausted or decision.failure_kind is FailureKind.DEADLINE
    if decision.status is JobStatus.FAILED and not given_up:
        return CallResult.WORKS
    if status_code == _TOO_MANY_REQUESTS:
        return CallResult.THROTTLED
    return CallResult.OVERLOADED if status_code in THROTTLES else CallResult.FAILED


def is_early(decision: Decision, attempt: int) -> bool:
    """Return whether a failure of this attempt is early, that is weak evidence."""
    return attempt <= _EARLY and decision.status is JobStatus.RETRYING


def observe(
    observed: Observed,
    version: int,
    call_result: CallResult,
    began: float,
    now: float,
    retry_after: Callable[[], float | None],
    *,
    early: bool = False,
) -> Observed:
    """Add one call to the results. Discard the results of older versions of the reaction.

    Args:
        observed: Results so far.
        version: Version of the reaction that the call used.
        call_result: Evidence of the call.
        began: Start time of the call.
        now: End time of the call.
        retry_after: Function that returns the seconds of the Retry-After header, if any. Called
            only for statuses in `THROTTLES`.
        early: True for an early failure, see `is_early`.
    """
    if observed.version is None or observed.version < version:
        observed = Observed(observed.worked and observed.version is None, version=version)
    elif observed.version > version:
        return observed
    if call_result is CallResult.WORKS:
        return Observed(worked=True, retry_after=observed.retry_after, version=version)
    if call_result is not CallResult.THROTTLED:
        observed = replace(
            observed,
            failures=observed.failures + 1,
            failing_since=now if observed.failing_since is None else observed.failing_since,
            last_began=max(observed.last_began, began),
            early=observed.early + early,
        )
    if call_result is CallResult.FAILED:
        return replace(observed, throttles=0)
    asked = retry_after()
    until = observed.retry_after
    if asked is not None:
        until = now + asked if until is None else max(until, now + asked)
    throttles = observed.throttles + 1 if call_result is CallResult.THROTTLED else 0
    return replace(observed, throttles=throttles, retry_after=until)


def judge(health: Health, observed: Observed, rules: HealthRules, now: float) -> Change:
    """Compute the new health of a reaction from the results of its calls."""
    event_type = None
    if observed.worked:
        event_type = EngineEventType.REACTION_RECOVERED if health.openings else None
        is_asked = health.openings == 0 and health.throttles > 0 and health.paused_until > now
        # A success does not end a requested pause: the endpoint may let only some calls through.
        health = Health(throttles=1, paused_until=health.paused_until) if is_asked else HEALTHY
    failures = health.failures + observed.failures
    early = health.early + observed.early
    failing_since = observed.failing_since if health.failing_since is None else health.failing_since
    paused_until, throttles = _pause(health, observed, rules, now)
    openings = health.openings
    if failing_since is not None and observed.failures:
        failing_for = now - failing_since
        if (
            rules.disable_after is not None
            and failing_for >= rules.disable_after
            and failures >= rules.disable_failures
        ):
            return Change(Health(failures, failing_since), EngineEventType.REACTION_DISABLED)
        # Calls that were in flight when the circuit opened are not probes, even if they end late.
        probed = openings > 0 and observed.last_began >= health.paused_until
        opens = (failures - early >= rules.open_failures and failing_for >= rules.open_after) or (
            failures >= rules.open_failures and failing_for >= rules.open_at_latest
        )
        if probed or (openings == 0 and opens):
            event_type = (
                EngineEventType.REACTION_FAILING if openings == 0 and event_type is None else None
            )
            openings += 1
            doublings = min(openings - 1, _MOST_DOUBLINGS)
            closed_for = min(rules.probe_after * 2**doublings, rules.probe_max)
            paused_until = max(paused_until, now + closed_for)
    return Change(
        Health(failures, failing_since, throttles, openings, paused_until, early), event_type
    )


def _pause(health: Health, observed: Observed, rules: HealthRules, now: float) -> tuple[float, int]:
    """Return the end of the pause and the number of consecutive throttles."""
    asked = observed.retry_after is not None and observed.retry_after > now
    if not asked and not observed.throttles:
        return health.paused_until, health.throttles
    throttles = health.throttles + 1
    if asked and observed.retry_after is not None:
        until = min(observed.retry_after, now + rules.longest_pause)
    elif max(observed.throttles, throttles) < _TOLERATED:
        until = health.paused_until
    else:
        doublings = min(throttles - 1, _MOST_DOUBLINGS)
        pause = min(_FIRST_PAUSE * 2**doublings, _LONGEST_UNASKED_PAUSE, rules.longest_pause)
        until = now + pause
    return max(health.paused_until, until), throttles

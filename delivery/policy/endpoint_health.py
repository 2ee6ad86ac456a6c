"""Effects of an endpoint's responses on its reaction: pauses, the circuit, disabling.

A call is a *failure* if it is to be tried again: no response, or a status such as 404 or 500. 429
is none: the endpoint works, and asks for less. A response that settles its job (200, but 400 as
well) says that the endpoint works, and forgets all troubles.

Some endpoints fail every message once or twice and then accept it. So the first two failures of a
job are *early* ones: they say little about the endpoint. A failure counts in full if its job failed
twice before, or is not tried again.

- After 429, 502, 503 or 504 with a Retry-After the reaction pauses as long as asked, up to
  `longest_pause`, also when calls in flight succeed meanwhile; after three times 429 in a row
  without one, for a time that doubles from 0.1 s up to 10 s. All four also halve what each worker
  has in flight (`delivery.queue.windows`).
- After `open_failures` failures in a row that count in full, and `open_after` seconds of nothing
  but failures, the circuit opens: no call is made for `probe_after` seconds. It opens as well after
  `open_failures` failures of any kind and `open_at_latest` seconds, so that an endpoint whose jobs
  are tried again much later is not called all the while. Then the circuit is half open: one call at
  a time is made, of a job that has been tried before if one is due. If that fails, the circuit
  stays open twice as long as before, up to `probe_max` seconds.
- After `disable_after` seconds of nothing but failures, and `disable_failures` of them, the
  reaction is disabled.

The circuit breaker is M. Nygard's (Release It!, 2007). Times are seconds since the epoch.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from delivery.models import FailureKind, JobStatus, OwnType

if TYPE_CHECKING:
    from collections.abc import Callable

    from delivery.policy.outcome import Verdict

__all__ = [
    "HEALTHY",
    "THROTTLES",
    "Answer",
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
"""Statuses that ask for fewer calls."""
_TOO_MANY_REQUESTS: Final = 429
_TOLERATED: Final = 3
"""Answers 429 in a row, without a Retry-After, before the reaction pauses."""
_FIRST_PAUSE: Final = 0.1
_LONGEST_UNASKED_PAUSE: Final = 10.0
_MOST_DOUBLINGS: Final = 30
_EARLY: Final = 2
"""Number of attempts of a job that count as early."""
_UNREACHED: Final = frozenset(
    {FailureKind.TRANSPORT, FailureKind.TLS, FailureKind.DNS, FailureKind.TIMEOUT}
)


class Answer(StrEnum):
    """What one call says about its endpoint."""

    WORKS = "works"
    FAILED = "failed"
    LESS = "less"
    """It works, but asks for fewer calls: 429."""
    OVERLOADED = "overloaded"
    """It failed, and may ask to be left alone for a while: 502, 503, 504."""


@dataclass(frozen=True, slots=True)
class HealthRules:
    """The settings `health`; see there."""

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
    """How a reaction stands."""

    failures: int = 0
    """In a row."""
    failing_since: float | None = None
    throttles: int = 0
    """How often in a row it was judged that the endpoint asks for less."""
    openings: int = 0
    """How often in a row the circuit opened; 0: it is closed."""
    paused_until: float = 0.0
    early: int = 0
    """How many of the failures were early ones."""


HEALTHY: Final = Health()


@dataclass(frozen=True, slots=True)
class Observed:
    """What the calls of a reaction said since the last time it was judged."""

    worked: bool = False
    """Whether any call said that the endpoint works."""
    failures: int = 0
    """Since then."""
    throttles: int = 0
    """Answers 429 at the end, in a row."""
    retry_after: float | None = None
    """Until when the endpoint asked to be left alone."""
    failing_since: float | None = None
    """When the first of the failures ended."""
    version: int | None = None
    """Of the reaction, by which the calls were made; None: any."""
    last_began: float = 0.0
    """When the last of the failures began: a probe begins when the circuit is half open."""
    early: int = 0
    """How many of the failures were early ones."""


@dataclass(frozen=True, slots=True)
class Change:
    """How a reaction stands now, and what others are to be told."""

    health: Health
    told: OwnType | None = None


def classify(
    verdict: Verdict, status_code: int | None, failure_kind: FailureKind | None
) -> Answer | None:
    """What a call says about its endpoint; None: nothing.

    Args:
        verdict: What the call led to.
        status_code: The answer's status, if any.
        failure_kind: Why there was no complete answer; None: there was.
    """
    if verdict.status is JobStatus.SUCCEEDED:
        return Answer.WORKS
    if failure_kind in _UNREACHED:
        return Answer.FAILED
    if failure_kind is not None and failure_kind is not FailureKind.HTTP_STATUS:
        return None
    given_up = verdict.exhausted or verdict.failure_kind is FailureKind.DEADLINE
    if verdict.status is JobStatus.FAILED and not given_up:
        return Answer.WORKS
    if status_code == _TOO_MANY_REQUESTS:
        return Answer.LESS
    return Answer.OVERLOADED if status_code in THROTTLES else Answer.FAILED


def is_early(verdict: Verdict, attempt: int) -> bool:
    """Return whether a failure of this attempt says little about the endpoint."""
    return attempt <= _EARLY and verdict.status is JobStatus.RETRYING


def observe(
    observed: Observed,
    version: int,
    answer: Answer,
    began: float,
    now: float,
    retry_after: Callable[[], float | None],
    *,
    early: bool = False,
) -> Observed:
    """Add one call to what was seen; of several versions only the newest counts.

    Args:
        observed: What was seen before.
        version: Of the reaction, by which the call was made.
        answer: What the call says.
        began: When it began.
        now: When it ended.
        retry_after: Gives the seconds that the response asks to wait, if any; called where it
            counts.
        early: See `is_early`; of a failure.
    """
    if observed.version is None or observed.version < version:
        observed = Observed(observed.worked and observed.version is None, version=version)
    elif observed.version > version:
        return observed
    if answer is Answer.WORKS:
        return Observed(worked=True, retry_after=observed.retry_after, version=version)
    if answer is not Answer.LESS:
        observed = replace(
            observed,
            failures=observed.failures + 1,
            failing_since=now if observed.failing_since is None else observed.failing_since,
            last_began=max(observed.last_began, began),
            early=observed.early + early,
        )
    if answer is Answer.FAILED:
        return replace(observed, throttles=0)
    asked = retry_after()
    until = observed.retry_after
    if asked is not None:
        until = now + asked if until is None else max(until, now + asked)
    throttles = observed.throttles + 1 if answer is Answer.LESS else 0
    return replace(observed, throttles=throttles, retry_after=until)


def judge(health: Health, observed: Observed, rules: HealthRules, now: float) -> Change:
    """How a reaction stands after what was observed."""
    told = None
    if observed.worked:
        told = OwnType.REACTION_RECOVERED if health.openings else None
        is_asked = health.openings == 0 and health.throttles > 0 and health.paused_until > now
        # What the endpoint asked for is kept to: others may be let in sooner than we are.
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
            return Change(Health(failures, failing_since), OwnType.REACTION_DISABLED)
        # Calls that were in flight when the circuit opened are no probes, however late they end.
        probed = openings > 0 and observed.last_began >= health.paused_until
        opens = (failures - early >= rules.open_failures and failing_for >= rules.open_after) or (
            failures >= rules.open_failures and failing_for >= rules.open_at_latest
        )
        if probed or (openings == 0 and opens):
            told = OwnType.REACTION_FAILING if openings == 0 and told is None else None
            openings += 1
            doublings = min(openings - 1, _MOST_DOUBLINGS)
            closed_for = min(rules.probe_after * 2**doublings, rules.probe_max)
            paused_until = max(paused_until, now + closed_for)
    return Change(Health(failures, failing_since, throttles, openings, paused_until, early), told)


def _pause(health: Health, observed: Observed, rules: HealthRules, now: float) -> tuple[float, int]:
    """Until when the reaction pauses, and how many pauses in a row that makes."""
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

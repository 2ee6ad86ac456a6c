"""The report of a run: a row per endpoint, and consistency checks. Pure."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from delivery.lifecycle import TERMINAL
from delivery.models import FailureKind, JobStatus, Outcome, ReactionState
from delivery.wording import counted

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from uuid import UUID

    from delivery.cli.demo.receiver_process import Seen
    from delivery.cli.demo.scenario import Endpoint
    from delivery.models import DeliveryLog, Job, Reaction

__all__ = ["Check", "EndpointReport", "Happened", "check", "percentile", "summarise"]

_SHOWN: Final = 3
"""Maximum number of differences that a check quotes."""


@dataclass(frozen=True, slots=True)
class Happened:
    """The records of a finished run."""

    reactions: Mapping[UUID, tuple[Endpoint, Reaction]]
    """Reactions after the run."""
    written: int
    """Number of jobs that the triggers created."""
    jobs: Sequence[Job]
    logs: Sequence[DeliveryLog]
    seen: Seen


@dataclass(frozen=True, slots=True)
class EndpointReport:
    """One row of the table."""

    endpoint: str
    does: str
    reaction_id: UUID
    jobs: int
    attempts: int
    """Log rows, one for every call."""
    succeeded: int
    retried: int
    """Requests that led to a retry."""
    dead: int
    """Jobs that used all their attempts."""
    gone: int
    """Jobs that failed because of a 410."""
    skipped: int
    """Jobs without a request, because their reaction was disabled."""
    p50_ms: float | None
    p99_ms: float | None


@dataclass(frozen=True, slots=True)
class Check:
    """A consistency check and its result."""

    check: str
    ok: bool
    detail: str


def percentile(values: Sequence[float], share: float) -> float | None:
    """Return the percentile by nearest rank, which is always one of the values."""
    if not values:
        return None
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]


def summarise(happened: Happened) -> list[EndpointReport]:
    """Return a row for each endpoint, in the order of the scenario."""
    rows = []
    for reaction_id, (endpoint, _) in happened.reactions.items():
        jobs = [job for job in happened.jobs if job.reaction_id == reaction_id]
        logs = [log for log in happened.logs if log.reaction_id == reaction_id]
        durations = [log.duration_ms for log in logs if log.duration_ms is not None]
        rows.append(
            EndpointReport(
                endpoint=endpoint.name,
                does=endpoint.does,
                reaction_id=reaction_id,
                jobs=len(jobs),
                attempts=len(logs),
                succeeded=sum(job.status is JobStatus.SUCCEEDED for job in jobs),
                retried=sum(log.outcome is Outcome.RETRIED for log in logs),
                dead=sum(job.exhausted for job in jobs),
                gone=sum(job.failure_kind is FailureKind.GONE for job in jobs),
                skipped=sum(job.status is JobStatus.SKIPPED for job in jobs),
                p50_ms=percentile(durations, 0.50),
                p99_ms=percentile(durations, 0.99),
            )
        )
    return rows


def check(happened: Happened, rows: Sequence[EndpointReport]) -> list[Check]:
    """Check the run for consistency."""
    return [
        _all_finished(happened),
        _log_is_complete(happened),
        _receiver_agrees(happened),
        _signatures(happened),
        _as_the_endpoints_behave(happened, rows),
    ]


def _all_finished(happened: Happened) -> Check:
    finished = sum(job.status in TERMINAL for job in happened.jobs)
    detail = f"{finished:,} of {happened.written:,}"
    return Check("all jobs are finished", finished == happened.written, detail)


def _log_is_complete(happened: Happened) -> Check:
    """Check that each attempt of each job has one log row, numbered from 1."""
    numbers: dict[UUID, list[int]] = {}
    for log in happened.logs:
        numbers.setdefault(log.job_id, []).append(log.attempt)
    wrong = [
        f"job {job.id} made {counted(job.attempt, 'attempt')}, logged are {numbers.get(job.id, [])}"
        for job in happened.jobs
        if sorted(numbers.get(job.id, [])) != list(range(1, job.attempt + 1))
    ]
    detail = _quote(wrong) or f"{len(happened.logs):,} attempts, {len(happened.logs):,} log rows"
    return Check("one log row per attempt", not wrong, detail)


def _receiver_agrees(happened: Happened) -> Check:
    """Check that receiver and log contain the same requests by endpoint, message and status."""
    logged: Counter[tuple[str, str, int]] = Counter()
    for log in happened.logs:
        known = happened.reactions.get(log.reaction_id) if log.reaction_id else None
        headers = dict(log.request.headers) if log.request else {}
        path = known[0].path if known else "?"
        logged[path, headers.get("webhook-id", "?"), log.status_code or 0] += 1
    seen = happened.seen.requests
    wrong = [
        f"{path} {message} with {status}: received {seen[key]}, logged {logged[key]}"
        for key in seen.keys() | logged.keys()
        for path, message, status in (key,)
        if seen[key] != logged[key]
    ]
    detail = _quote(wrong) or f"{seen.total():,} requests, by endpoint, message and status"
    return Check("receiver and log agree", not wrong, detail)


def _signatures(happened: Happened) -> Check:
    seen = happened.seen
    detail = _quote(seen.refusals) or f"{seen.verified:,} verified by standardwebhooks, 0 refused"
    ok = seen.refused == 0 and seen.verified == seen.requests.total()
    return Check("signatures are right", ok, detail)


def _as_the_endpoints_behave(happened: Happened, rows: Sequence[EndpointReport]) -> Check:
    wrong: list[str] = []
    for row in rows:
        endpoint, reaction = happened.reactions[row.reaction_id]
        if endpoint.calls is None:
            if row.gone == 0 or row.gone != row.attempts or row.gone + row.skipped != row.jobs:
                wrong.append(f"{row.endpoint}: {row.gone} gone, {row.skipped} skipped")
            if reaction.state is not ReactionState.DISABLED:
                wrong.append(f"{row.endpoint}: its reaction is {reaction.state}")
            continue
        if row.attempts != row.jobs * endpoint.calls:
            wrong.append(
                f"{row.endpoint}: {counted(row.attempts, 'call')} for {counted(row.jobs, 'job')}"
            )
        if row.succeeded != (row.jobs if endpoint.succeeds else 0):
            wrong.append(f"{row.endpoint}: {row.succeeded} of {row.jobs} succeeded")
        if row.dead != (0 if endpoint.succeeds else row.jobs):
            wrong.append(f"{row.endpoint}: {row.dead} of {row.jobs} dead")
    if any(job.failure_kind is FailureKind.BLOCKED for job in happened.jobs):
        wrong.append(
            "another process took some jobs, but its settings forbid calls to this machine"
        )
    detail = _quote(wrong) or "each as its endpoint behaves"
    return Check("outcomes are right", not wrong, detail)


def _quote(wrong: Sequence[str]) -> str:
    more = f" … and {len(wrong) - _SHOWN:,} more" if len(wrong) > _SHOWN else ""
    return "; ".join(wrong[:_SHOWN]) + more

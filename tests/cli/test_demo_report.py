"""The demo's sums: right when everything fits, and a check fails for everything that does not."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from uuid import UUID

import pytest

from delivery.cli.demo.receiver_process import Seen
from delivery.cli.demo.report import Happened, check, percentile, summarise
from delivery.cli.demo.scenario import ENDPOINTS
from delivery.models import (
    DeliveryLog,
    FailureKind,
    HttpMessage,
    HttpParams,
    Job,
    JobStatus,
    Outcome,
    Reaction,
    ReactionState,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from delivery.cli.demo.scenario import Endpoint

NOW = datetime(2026, 1, 2, tzinfo=UTC)
HEALTHY = next(endpoint for endpoint in ENDPOINTS if endpoint.name == "healthy")
GONE = next(endpoint for endpoint in ENDPOINTS if endpoint.name == "gone")


def reaction(number: int, endpoint: Endpoint, state: ReactionState) -> Reaction:
    return Reaction(
        id=UUID(int=number),
        tenant_id="demo",
        area_id=None,
        name=endpoint.name,
        event_types=("*",),
        condition=None,
        params=HttpParams(url=f"http://127.0.0.1{endpoint.path}"),
        priority=100,
        state=state,
        state_reason=None,
        version=1,
        created_at=NOW,
        updated_at=NOW,
    )


def job(number: int, of: int, status: JobStatus, failure: FailureKind | None = None) -> Job:
    return Job(
        id=UUID(int=number),
        tenant_id="demo",
        user_id=None,
        trigger_id=None,
        reaction_id=UUID(int=of),
        reaction_version=1,
        message_id=f"msg_{UUID(int=number).hex}",
        priority=100,
        status=status,
        attempt=0 if status is JobStatus.SKIPPED else 1,
        max_attempts=3,
        run_at=NOW,
        deadline=None,
        failure_kind=failure,
        exhausted=False,
        status_code=None,
        error=None,
        stalls=0,
        locked_by=None,
        locked_at=None,
        created_at=NOW,
        started_at=NOW,
        finished_at=NOW,
        updated_at=NOW,
    )


def log(number: int, of: Job, status: int, outcome: Outcome) -> DeliveryLog:
    headers = (("webhook-id", f"msg_{of.id.hex}"),)
    return DeliveryLog(
        id=UUID(int=number),
        tenant_id="demo",
        job_id=of.id,
        trigger_id=None,
        reaction_id=of.reaction_id,
        attempt=1,
        outcome=outcome,
        method="POST",
        endpoint="http://127.0.0.1/",
        request=HttpMessage(headers, b"{}", 2, truncated=False),
        response=None,
        status_code=status,
        failure_kind=None,
        error=None,
        duration_ms=float(number),
        timings=None,
        remote_address=None,
        reused=None,
        worker_id=None,
        created_at=NOW,
    )


def all_well() -> Happened:
    """Two triggers to two endpoints: one healthy, the other gone with its second job skipped."""
    jobs = [
        job(11, 1, JobStatus.SUCCEEDED),
        job(12, 1, JobStatus.SUCCEEDED),
        job(21, 2, JobStatus.FAILED, FailureKind.GONE),
        job(22, 2, JobStatus.SKIPPED),
    ]
    logs = [
        log(101, jobs[0], 200, Outcome.SUCCEEDED),
        log(102, jobs[1], 200, Outcome.SUCCEEDED),
        log(103, jobs[2], 410, Outcome.FAILED),
    ]
    requests = Counter(
        {
            ("/healthy", f"msg_{jobs[0].id.hex}", 200): 1,
            ("/healthy", f"msg_{jobs[1].id.hex}", 200): 1,
            ("/gone", f"msg_{jobs[2].id.hex}", 410): 1,
        }
    )
    return Happened(
        reactions={
            UUID(int=1): (HEALTHY, reaction(1, HEALTHY, ReactionState.ENABLED)),
            UUID(int=2): (GONE, reaction(2, GONE, ReactionState.DISABLED)),
        },
        written=len(jobs),
        jobs=jobs,
        logs=logs,
        seen=Seen(requests, verified=3, refused=0, refusals=()),
    )


def failing(happened: Happened) -> dict[str, str]:
    """The checks that fail, and why."""
    checks = check(happened, summarise(happened))
    return {each.check: each.detail for each in checks if not each.ok}


def test_everything_adds_up_when_all_is_well() -> None:
    healthy, gone = summarise(all_well())
    assert (healthy.jobs, healthy.attempts, healthy.succeeded) == (2, 2, 2)
    assert (healthy.p50_ms, healthy.p99_ms) == (101, 102)
    assert (gone.jobs, gone.attempts, gone.gone, gone.skipped) == (2, 1, 1, 1)
    assert failing(all_well()) == {}


def a_job_lost(happened: Happened) -> Happened:
    return replace(happened, written=5)


def a_job_unfinished(happened: Happened) -> Happened:
    unfinished = replace(happened.jobs[0], status=JobStatus.RETRYING)
    return replace(happened, jobs=[unfinished, *happened.jobs[1:]])


def a_row_missing(happened: Happened) -> Happened:
    return replace(happened, logs=happened.logs[1:])


def a_row_twice(happened: Happened) -> Happened:
    return replace(happened, logs=[*happened.logs, happened.logs[0]])


def a_request_twice(happened: Happened) -> Happened:
    seen = happened.seen
    (first, *_) = seen.requests
    more = replace(seen, requests=seen.requests + Counter([first]), verified=4)
    return replace(happened, seen=more)


def a_request_unseen(happened: Happened) -> Happened:
    seen = happened.seen
    (first, *_) = seen.requests
    fewer = replace(seen, requests=seen.requests - Counter([first]), verified=2)
    return replace(happened, seen=fewer)


def another_status(happened: Happened) -> Happened:
    return replace(happened, logs=[replace(happened.logs[0], status_code=201), *happened.logs[1:]])


def a_signature_refused(happened: Happened) -> Happened:
    seen = replace(happened.seen, verified=2, refused=1, refusals=("/healthy msg_1: no",))
    return replace(happened, seen=seen)


def a_signature_unchecked(happened: Happened) -> Happened:
    return replace(happened, seen=replace(happened.seen, verified=2))


def gone_but_enabled(happened: Happened) -> Happened:
    enabled = (GONE, reaction(2, GONE, ReactionState.ENABLED))
    return replace(happened, reactions={**happened.reactions, UUID(int=2): enabled})


def blocked_elsewhere(happened: Happened) -> Happened:
    blocked = replace(happened.jobs[0], failure_kind=FailureKind.BLOCKED)
    return replace(happened, jobs=[blocked, *happened.jobs[1:]])


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (a_job_lost, "all jobs are finished"),
        (a_job_unfinished, "all jobs are finished"),
        (a_row_missing, "one log row per attempt"),
        (a_row_twice, "one log row per attempt"),
        (a_request_twice, "receiver and log agree"),
        (a_request_unseen, "receiver and log agree"),
        (another_status, "receiver and log agree"),
        (a_signature_refused, "signatures are right"),
        (a_signature_unchecked, "signatures are right"),
        (gone_but_enabled, "outcomes are right"),
        (blocked_elsewhere, "outcomes are right"),
    ],
)
def test_what_does_not_fit_is_found(change: Callable[[Happened], Happened], found: str) -> None:
    """By the check that is about it."""
    assert found in failing(change(all_well()))


@pytest.mark.parametrize(
    ("values", "share", "expected"),
    [
        ([], 0.5, None),
        ([3.0], 0.99, 3.0),
        ([4.0, 1.0, 3.0, 2.0], 0.5, 2.0),
        ([1.0, 2.0], 0.99, 2.0),
    ],
)
def test_a_percentile_is_a_value_that_occurred(
    values: list[float], share: float, expected: float | None
) -> None:
    """By the nearest rank."""
    assert percentile(values, share) == expected

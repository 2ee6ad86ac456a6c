"""A job that returns to the queue without a counted attempt still has its last failure."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest

from delivery.engine.settling import results
from delivery.models import FailureKind, JobStatus, Outcome
from delivery.store.settlements import settle
from tests.support.queues import opened, succeeded

if TYPE_CHECKING:
    from uuid import UUID

    from delivery.store.queue import ClaimedJob
    from delivery.store.settlements import Settlement
    from tests.support.queues import Bench

pytestmark = pytest.mark.anyio

TIMED_OUT = ("timeout", "no response", 504)


async def given(bench: Bench, settlement: Settlement) -> None:
    written = await settle(bench.pool, bench.worker_id, [settlement], [settlement.lease_id])
    assert written.jobs == 1


async def failed(bench: Bench, *, times: int) -> tuple[UUID, ClaimedJob]:
    """Return a claimed job after this number of failed attempts."""
    await bench.enqueue(1)
    for _ in range(times):
        lease_id, (job,) = await bench.claim(1)
        failure = succeeded(bench, lease_id, job, **_failure())
        await given(bench, failure)
    lease_id, (job,) = await bench.claim(1)
    return lease_id, job


def _failure() -> dict[str, Any]:
    kind, error, status = TIMED_OUT
    return {
        "status": JobStatus.RETRYING.value,
        "outcome": Outcome.RETRIED.value,
        "run_at": time.time() - 1,
        "failure_kind": FailureKind(kind).value,
        "error": error,
        "status_code": status,
    }


async def state_of(bench: Bench, job: ClaimedJob) -> tuple[Any, ...]:
    row = await bench.pool.fetchrow(
        "SELECT status::text, failure_kind::text, error, status_code FROM delivery.jobs"
        " WHERE id = $1",
        job.job_id,
    )
    assert row is not None
    return tuple(row)


async def test_a_returned_job_still_has_its_last_failure(database_url: str) -> None:
    async with opened(database_url) as bench:
        lease_id, job = await failed(bench, times=1)
        await given(bench, results.handed_back(lease_id, job, time.time()))
        assert await state_of(bench, job) == ("queued", *TIMED_OUT)


async def test_a_cut_off_call_is_logged_and_the_last_failure_remains(
    database_url: str,
) -> None:
    async with opened(database_url) as bench:
        lease_id, job = await failed(bench, times=1)
        back = results.handed_back(lease_id, job, time.time())._replace(
            log_id=bench.ids.new(),
            outcome=Outcome.LOST.value,
            error="cut off",
            method="POST",
            endpoint="x",
        )
        await given(bench, back)
        assert await state_of(bench, job) == ("queued", *TIMED_OUT)
        logged = "SELECT count(*) FROM delivery.delivery_logs WHERE error = 'cut off'"
        assert await bench.pool.fetchval(logged) == 1


async def test_the_reason_for_a_wait_names_the_last_failure_once(database_url: str) -> None:
    async with opened(database_url) as bench:
        lease_id, job = await failed(bench, times=1)
        for error in ("no key", "no port"):
            now = time.time()
            back = results.not_yet(lease_id, job, now, KeyError(error))._replace(run_at=now - 1)
            await given(bench, back)
            status, kind, text, code = await state_of(bench, job)
            assert (status, kind, code) == ("queued", "timeout", 504)
            assert text == f"the call cannot be made yet: '{error}'; last failure: no response"
            lease_id, (job,) = await bench.claim(1)


async def test_a_job_that_never_failed_has_only_the_reason_for_the_wait(database_url: str) -> None:
    async with opened(database_url) as bench:
        lease_id, job = await failed(bench, times=0)
        now = time.time()
        await given(bench, results.postponed(lease_id, job, now, now - 1, "no port"))
        reason = "the call could not be made yet: no port"
        assert await state_of(bench, job) == ("queued", None, reason, None)
        lease_id, (job,) = await bench.claim(1)
        await given(bench, results.handed_back(lease_id, job, now))
        assert await state_of(bench, job) == ("queued", None, None, None)


async def test_an_attempt_replaces_the_last_failure(database_url: str) -> None:
    async with opened(database_url) as bench:
        lease_id, job = await failed(bench, times=1)
        await given(bench, succeeded(bench, lease_id, job))
        assert await state_of(bench, job) == ("succeeded", None, None, 200)

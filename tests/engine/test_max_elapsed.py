"""No retry starts later than `max_elapsed`, for any reason of the delay."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import orjson
import pytest

from delivery import JobStatus, Outcome
from delivery.testing import Receiver, Respond
from tests.support.conditions import until
from tests.support.engines import all_logs, engine_on
from tests.support.raw_servers import answering_after, serving
from tests.support.raw_servers import until as turns_until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from uuid import UUID

    from delivery import Engine, Job

pytestmark = pytest.mark.anyio

RETRY = {"strategy": "constant", "base": 0.1, "jitter": 0, "max_attempts": 9, "max_elapsed": 100}


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with Receiver(default=Respond()) as running:
        yield running


async def failed_once(engine: Engine, receiver: Receiver, **trigger: Any) -> UUID:
    """Create a job and let its first attempt fail; no worker runs after that."""
    receiver.endpoint("/x", Respond(503, body=b"busy"))
    await engine.reactions.create(
        name="r", event_types=["x"], url=receiver.url("/x"), retry={**RETRY, "base": 60}
    )
    await engine.reactions.create(
        name="told", event_types=["job.exhausted"], url=receiver.url("/told")
    )
    made = await engine.trigger("x", 1, **trigger)
    (job_id,) = made.jobs

    async def has_failed() -> bool:
        return (await engine.jobs.get(job_id)).status is JobStatus.RETRYING

    async with engine.workers():
        await until(has_failed)
    receiver.endpoint("/x", Respond())
    return job_id


async def _age(engine: Engine, job_id: UUID, seconds: float) -> None:
    """Make the job older, and due now."""
    for column in ("created_at", "due_at"):
        await engine._pool.execute(
            f"UPDATE delivery.jobs SET {column} = {column} - $2::interval WHERE id = $1",
            job_id,
            timedelta(seconds=seconds),
        )
    await engine._pool.execute(
        "UPDATE delivery.waiting_jobs SET run_at = now() WHERE job_id = $1", job_id
    )


async def _finished(engine: Engine, job_id: UUID) -> Job:
    async with engine.workers():
        return await engine.jobs.wait(job_id, timeout=60)


async def test_a_retry_that_comes_too_late_is_not_made_and_the_job_is_exhausted(
    database_url: str, receiver: Receiver
) -> None:
    async with engine_on(database_url) as engine:
        job_id = await failed_once(engine, receiver)
        await _age(engine, job_id, 101)
        async with engine.workers():
            job = await engine.jobs.wait(job_id, timeout=60)
            await receiver.wait_for(1, path="/told")
        assert (job.status, job.exhausted, job.attempt) == (JobStatus.FAILED, True, 1)
        assert (job.failure_kind, job.status_code) == ("http_status", 503)
        assert "max_elapsed of 100 s was over" in str(job.error)
        assert receiver.count("/x") == 1
        assert [log.outcome for log in await all_logs(engine, job_id=job_id)] == [Outcome.RETRIED]
        told = next(each for each in receiver.received if each.path == "/told")
        assert orjson.loads(told.body)["job_id"] == str(job_id)
        dead = "SELECT count(*) FROM delivery.dead_letters WHERE job_id = $1"
        assert await engine._pool.fetchval(dead, job_id) == 1


async def test_a_retry_within_max_elapsed_is_made(database_url: str, receiver: Receiver) -> None:
    async with engine_on(database_url) as engine:
        job_id = await failed_once(engine, receiver)
        await _age(engine, job_id, 80)
        job = await _finished(engine, job_id)
        assert (job.status, job.attempt) == (JobStatus.SUCCEEDED, 2)


async def test_the_first_attempt_is_made_however_late(
    database_url: str, receiver: Receiver
) -> None:
    async with engine_on(database_url) as engine:
        await engine.reactions.create(name="r", url=receiver.url("/x"), retry=RETRY)
        (job_id,) = (await engine.trigger("x", 1)).jobs
        await _age(engine, job_id, 10_000)
        assert (await _finished(engine, job_id)).status is JobStatus.SUCCEEDED


async def test_a_delay_on_purpose_does_not_count(database_url: str, receiver: Receiver) -> None:
    async with engine_on(database_url) as engine:
        job_id = await failed_once(engine, receiver, delay=0.3)
        # As if the delay had been of a thousand seconds.
        await engine._pool.execute(
            "UPDATE delivery.jobs SET created_at = created_at - interval '1000 s' WHERE id = $1",
            job_id,
        )
        await _age(engine, job_id, 80)
        job = await _finished(engine, job_id)
        assert (job.status, job.attempt) == (JobStatus.SUCCEEDED, 2)


async def test_a_retry_that_is_handed_back_retains_its_last_failure(
    database_url: str, receiver: Receiver
) -> None:
    places = {"concurrency": 1, "slow_concurrency": 0, "batch_size": 2, "shutdown_timeout": 0}
    async with engine_on(database_url, worker=places) as engine:
        job_id = await failed_once(engine, receiver)
        receiver.endpoint("/slow", Respond(delay=30))
        await engine.jobs.create(url=receiver.url("/slow"))
        before = await engine.jobs.get(job_id)
        async with engine.workers() as worker:
            await receiver.wait_for(1, path="/slow")
            await _age(engine, job_id, 90)

            async def is_claimed() -> bool:
                return len(worker._executor._waiting) == 1

            await until(is_claimed)
        job = await engine.jobs.get(job_id)
        assert (job.status, job.attempt) == (JobStatus.QUEUED, 1)
        assert (job.failure_kind, job.status_code) == ("http_status", 503)
        assert job.error == before.error
        await engine._pool.execute("DELETE FROM delivery.waiting_jobs WHERE job_id <> $1", job_id)
        await _age(engine, job_id, 20)
        job = await _finished(engine, job_id)
        assert (job.status, job.exhausted) == (JobStatus.FAILED, True)
        assert (job.failure_kind, job.status_code) == ("http_status", 503)
        assert receiver.count("/x") == 1


async def test_a_job_that_waits_in_the_worker_is_judged_again_right_before_its_call(
    database_url: str, receiver: Receiver
) -> None:
    """The clock advances while another job occupies the only place for a call."""
    places = {"concurrency": 1, "slow_concurrency": 0, "batch_size": 2}
    # No heartbeat sets the clock right again.
    places |= {"heartbeat_interval": 60, "dead_after": 300}
    opened = asyncio.Event()
    async with (
        serving(answering_after(opened)) as server,
        engine_on(database_url, worker=places) as engine,
    ):
        job_id = await failed_once(engine, receiver)
        await engine.jobs.create(url=server.url)
        async with engine.workers():
            await turns_until(lambda: server.requests)
            await _age(engine, job_id, 90)

            async def is_claimed() -> bool:
                return (await engine.jobs.get(job_id)).status is JobStatus.RUNNING

            await until(is_claimed)
            engine._clock.offset += 50
            opened.set()
            job = await engine.jobs.wait(job_id, timeout=60)
        assert (job.status, job.exhausted) == (JobStatus.FAILED, True)
        assert receiver.count("/x") == 1

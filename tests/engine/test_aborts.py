"""Abortion of single jobs, and its difference from the end of the worker."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

from delivery import JobStatus, Outcome, TriggerRequest
from delivery.testing import Hang, Receiver, Respond
from tests.support.engines import all_logs, engine_on, wait_for_all
from tests.support.raw_servers import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.anyio

ONE_AT_A_TIME = {"concurrency": 1, "slow_concurrency": 0, "batch_size": 10, "shutdown_timeout": 0}


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with Receiver(default=Respond()) as running:
        yield running


async def test_an_aborted_call_is_cut_off_and_its_job_runs_again(
    database_url: str, receiver: Receiver
) -> None:
    receiver.endpoint("/hang", Hang())
    receiver.endpoint("/slow", Respond(delay=0.5))
    async with engine_on(database_url) as engine:
        for path in ("/hang", "/slow"):
            await engine.reactions.create(name=path, url=receiver.url(path))
        hanging, slow = (await engine.trigger("x", 1)).jobs
        async with engine.workers() as worker:
            await receiver.wait_for(2)
            receiver.endpoint("/hang", Respond())
            assert worker._executor.abort(hanging, "asked to")
            assert worker._executor.abort(hanging, "asked again"), "the first request counts"
            jobs = await wait_for_all(engine, [hanging, slow])
            assert not worker._executor.abort(hanging, "too late")
            assert not worker._executor.abort(uuid4(), "not here")
        assert [job.status for job in jobs] == [JobStatus.SUCCEEDED] * 2
        assert [job.attempt for job in jobs] == [2, 1], "other calls go on"
        lost, succeeded = await all_logs(engine, job_id=hanging)
        assert (lost.outcome, succeeded.outcome) == (Outcome.LOST, Outcome.SUCCEEDED)
        assert lost.error == "the call was aborted (asked to); the request may have been received"
        assert lost.request is not None
        uncounted = "SELECT uncounted FROM delivery.jobs WHERE id = $1"
        assert await engine._pool.fetchval(uncounted, hanging) == 1


async def test_the_task_of_an_aborted_job_continues_with_the_next_job(
    database_url: str, receiver: Receiver
) -> None:
    receiver.endpoint("/hang", Hang())
    async with engine_on(database_url, worker=ONE_AT_A_TIME) as engine:
        await engine.reactions.create(name="r", url=receiver.url("/hang"))
        triggers = await engine.trigger_many([TriggerRequest("x", n) for n in range(4)])
        jobs = [job for trigger in triggers for job in trigger.jobs]
        async with engine.workers() as worker:
            await receiver.wait_for(1)
            executor = worker._executor
            (task,) = executor._running
            receiver.endpoint("/hang", Respond())
            assert executor.abort(executor._attempts[task].job.job_id, "asked to")
            await wait_for_all(engine, jobs)
            assert {*executor._running, *(idle for idle, _ in executor._idle)} == {task}
            assert not task.cancelling()


async def test_an_aborted_job_that_waits_goes_back_without_an_attempt(
    database_url: str, receiver: Receiver
) -> None:
    receiver.endpoint("/hang", Hang())
    async with engine_on(database_url, worker=ONE_AT_A_TIME) as engine:
        await engine.reactions.create(name="r", url=receiver.url("/hang"))
        await engine.trigger_many([TriggerRequest("x", n) for n in range(2)])
        async with engine.workers() as worker:
            await until(lambda: len(worker._executor._waiting) == 1)
            waiting = worker._executor._waiting[0].job.job_id
            worker._executor._stopping = True  # The job must not be claimed and started again.
            worker._consumer.stop()
            assert worker._executor.abort(waiting, "asked to")
            await until(lambda: worker._settler.unwritten == 0)
        job = await engine.jobs.get(waiting)
        assert (job.status, job.attempt) == (JobStatus.QUEUED, 0)
        assert job.error == "the attempt was aborted before the call: asked to"
        assert not await all_logs(engine, job_id=waiting)


async def test_an_aborted_job_that_waits_for_a_place_gives_up_its_turn(
    database_url: str, receiver: Receiver
) -> None:
    receiver.endpoint("/hang", Hang())
    async with engine_on(
        database_url, http={"connections_per_origin": 1}, worker={"shutdown_timeout": 0}
    ) as engine:
        for number in range(2):
            await engine.reactions.create(name=str(number), url=receiver.url("/hang"))
        jobs = (await engine.trigger("x", 1)).jobs
        async with engine.workers() as worker:
            waiters = worker._executor._waiters
            await until(lambda: len(waiters.attempts) == 1)
            receiver.endpoint("/hang", Respond())
            (waiting,) = (attempt.job.job_id for attempt in waiters.attempts.values())
            (running,) = (job for job in jobs if job != waiting)
            assert worker._executor.abort(waiting, "asked to")
            assert worker._executor.abort(running, "asked to")
            done = await wait_for_all(engine, [running, waiting])
        assert [(job.status, job.attempt) for job in done] == [("succeeded", 2), ("succeeded", 1)]


async def test_a_job_that_is_aborted_while_the_worker_stops_is_settled_once(
    database_url: str, receiver: Receiver
) -> None:
    receiver.endpoint("/hang", Hang())
    async with engine_on(database_url, worker={"shutdown_timeout": 0}) as engine:
        await engine.reactions.create(name="r", url=receiver.url("/hang"))
        triggers = await engine.trigger_many([TriggerRequest("x", n) for n in range(2)])
        aborted, other = (job for trigger in triggers for job in trigger.jobs)
        async with engine.workers() as worker:
            await receiver.wait_for(2)
            assert worker._executor.abort(aborted, "asked to")
            worker.stop_at_once()
        for job_id, reason in ((aborted, "was aborted"), (other, "the worker stopped")):
            job = await engine.jobs.get(job_id)
            assert (job.status, job.attempt) == (JobStatus.QUEUED, 1)
            (log,) = await all_logs(engine, job_id=job_id)
            assert log.outcome is Outcome.LOST
            assert reason in (log.error or "")
        assert await engine._pool.fetchval("SELECT count(*) FROM delivery.leases") == 0

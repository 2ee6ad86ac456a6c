"""Outages of PostgreSQL: results wait, nothing is lost, nothing is repeated."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio
import asyncpg
import pytest

import delivery
from delivery import JobStatus, Outcome, TriggerRequest
from delivery.store.migrate import migrate
from delivery.testing import Receiver, Respond
from tests.support.engines import all_logs, engine_on, wait_for_all

if TYPE_CHECKING:
    from uuid import UUID

    from tests.support.databases import PrivateServer

pytestmark = pytest.mark.anyio


async def _patiently(engine: delivery.Engine, jobs: list[UUID]) -> list[delivery.Job]:
    """Wait for jobs over outages, which `wait` itself reports as they are."""
    with anyio.fail_after(120):
        while True:
            try:
                return await wait_for_all(engine, jobs)
            except delivery.DatabaseError:
                await anyio.sleep(0.1)


async def _migrate(url: str) -> None:
    connection = await asyncpg.connect(url)
    await migrate(connection)
    await connection.close()


@pytest.mark.parametrize("notifications", [True, False])
async def test_postgresql_killed_in_the_middle_costs_no_delivery_and_repeats_none(
    private_server: PrivateServer, *, notifications: bool
) -> None:
    await _migrate(private_server.url)
    slow = Respond(delay=0.01)
    async with (
        Receiver(default=slow) as receiver,
        engine_on(
            private_server.url,
            notifications=notifications,
            worker={"concurrency": 20, "batch_size": 40},
        ) as engine,
    ):
        for number in range(5):
            await engine.reactions.create(name=str(number), url=receiver.url(f"/{number}"))
        triggers = await engine.trigger_many([TriggerRequest("x", n) for n in range(600)])
        jobs = [job for trigger in triggers for job in trigger.jobs]
        async with engine.workers():
            for quarter in (1, 2, 3):
                await receiver.wait_for(quarter * len(jobs) // 4, timeout=60)
                await anyio.to_thread.run_sync(private_server.kill)
                await anyio.to_thread.run_sync(private_server.start)
            done = await _patiently(engine, jobs)
        assert {job.status for job in done} == {JobStatus.SUCCEEDED}
        logs = await all_logs(engine)
        assert {log.outcome for log in logs} == {Outcome.SUCCEEDED}
        assert len(logs) == len(jobs), "no worker died, so no attempt was lost"
        assert {job.attempt for job in done} == {1}
        assert set(receiver.counts.values()) == {1}, "and nothing was delivered twice"


async def test_results_wait_while_the_database_is_away_longer_than_workers_may_be_silent(
    private_server: PrivateServer,
) -> None:
    await _migrate(private_server.url)
    async with (
        Receiver(default=Respond(delay=0.3)) as receiver,
        engine_on(private_server.url, worker={"dead_after": 3.0}) as engine,
        engine_on(private_server.url, worker={"dead_after": 3.0}) as other,
    ):
        await engine.reactions.create(name="r", url=receiver.url("/r"))
        triggers = await engine.trigger_many([TriggerRequest("x", n) for n in range(20)])
        jobs = [job for trigger in triggers for job in trigger.jobs]
        async with engine.workers(), other.workers():
            await receiver.wait_for(20)
            await anyio.to_thread.run_sync(private_server.kill)
            # Longer than it takes for a silent worker to be held dead.
            await anyio.sleep(4.5)
            await anyio.to_thread.run_sync(private_server.start)
            done = await _patiently(engine, jobs)
        assert {job.status for job in done} == {JobStatus.SUCCEEDED}
        assert [log.outcome for log in await all_logs(engine)] == [Outcome.SUCCEEDED] * 20
        assert set(receiver.counts.values()) == {1}


async def test_a_claim_whose_response_was_lost_is_found_and_handed_back(database_url: str) -> None:
    async with Receiver() as receiver, engine_on(database_url) as engine:
        receiver.endpoint("/r")
        await engine.reactions.create(name="r", url=receiver.url("/r"))
        async with engine.workers() as worker:
            trigger = await engine.trigger("x", 1, delay=3600)
            # State after a claim that was committed, and whose response was lost.
            await engine._pool.execute(
                "WITH popped AS (DELETE FROM delivery.waiting_jobs RETURNING job_id, claim)"
                " INSERT INTO delivery.leases (id, worker_id, job_ids, claims)"
                " SELECT gen_random_uuid(), $1, array_agg(job_id), array_agg(claim) FROM popped",
                worker.id,
            )
            assert (await engine.jobs.get(trigger.jobs[0])).status is JobStatus.RUNNING
            with anyio.fail_after(60):
                while (await engine.jobs.get(trigger.jobs[0])).status is JobStatus.RUNNING:
                    await anyio.sleep(0.05)
            job = await engine.jobs.get(trigger.jobs[0])
        assert job.status is JobStatus.QUEUED
        assert job.attempt == 0
        assert await all_logs(engine) == []


async def test_a_dropped_listening_connection_is_made_again(database_url: str) -> None:
    settings = {"poll_min": 60.0, "poll_max": 60.0}
    async with (
        Receiver(default=Respond()) as receiver,
        engine_on(database_url, worker=settings) as engine,
        engine_on(database_url) as producer,
    ):
        await engine.reactions.create(name="r", url=receiver.url("/r"))
        async with engine.workers():
            await producer.trigger("x", 1)
            await receiver.wait_for(1)
            assert await producer._pool.fetchval(
                "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
                " AND (query LIKE 'LISTEN%' OR query LIKE '%pg_notify%')"
            )
            with anyio.fail_after(50):
                while receiver.count() < 2:
                    await producer.trigger("x", 2)
                    await anyio.sleep(0.2)

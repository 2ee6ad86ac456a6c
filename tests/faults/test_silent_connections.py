"""The network swallows packets: every wait ends, and work resumes on new connections."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import anyio
import asyncpg
import pytest

import delivery
from delivery import JobStatus, Outcome, TriggerRequest
from delivery.errors import PoolExhausted, StatementTimeout
from delivery.settings import load_settings
from delivery.store.driver.connection import Pool, connect, open_pool
from delivery.store.driver.transaction import transaction
from delivery.testing import Receiver, Respond
from tests.support.conditions import until
from tests.support.engines import all_logs, engine_on, wait_for_all
from tests.support.proxies import Proxy
from tests.support.settling import owning
from tests.support.worker_processes import WorkerProcess

if TYPE_CHECKING:
    from uuid import UUID

    from delivery.store.driver.connection import Session

pytestmark = pytest.mark.anyio

QUICK = {"statement_timeout": 2.0, "connect_timeout": 3.0}


async def test_a_statement_without_response_ends_at_its_deadline(database_url: str) -> None:
    async with Proxy(database_url) as proxy:
        session = await connect(proxy.url, 30.0, statement_timeout=0.2)
        assert await session.fetchval("SELECT 1", timeout=30.0) == 1
        proxy.swallow()
        began = time.monotonic()
        with pytest.raises(StatementTimeout, match=r"within 0\.2 s"):
            await session.fetchval("SELECT 1")
        assert session.is_closed()
        assert time.monotonic() - began < 20


async def test_a_canceled_statement_ends_immediately(database_url: str) -> None:
    """Neither the cancellation nor the return to the pool waits for the server."""
    async with Proxy(database_url) as proxy:
        pool = await open_pool(load_settings(database={"statement_timeout": 60.0}), proxy.url)
        task = asyncio.create_task(pool.fetchval("SELECT pg_sleep(60)"))
        await until_in_use(pool)
        proxy.swallow()
        began = time.monotonic()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await pool.close()
        assert time.monotonic() - began < 30


async def test_a_canceled_transaction_stays_canceled(database_url: str) -> None:
    async with Proxy(database_url) as proxy:
        pool = await open_pool(load_settings(database={"statement_timeout": 60.0}), proxy.url)
        inside = asyncio.Event()

        async def work() -> None:
            async with transaction(pool) as connection:
                await connection.execute("SELECT 1")
                inside.set()
                await connection.execute("SELECT pg_sleep(60)")

        task = asyncio.create_task(work())
        await inside.wait()
        proxy.swallow()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            async with asyncio.timeout(30):
                await task
        await pool.close()


async def test_the_server_stops_working_on_a_statement_that_was_given_up(
    database_url: str,
) -> None:
    session = await connect(database_url, 30.0, statement_timeout=0.2)
    with pytest.raises(StatementTimeout):
        await session.execute("SELECT pg_sleep(3600)")
    watcher = await asyncpg.connect(database_url)
    try:

        async def ended() -> bool:
            return not await watcher.fetchval(
                "SELECT count(*) FROM pg_stat_activity"
                " WHERE query LIKE '%pg_sleep(3600)%' AND pid <> pg_backend_pid()"
            )

        await until(ended)
    finally:
        await watcher.close()


async def test_waiting_for_a_free_connection_has_a_deadline(database_url: str) -> None:
    async def open_session() -> Session:
        return await connect(database_url, 30.0)

    async with Pool(open_session, size=2, acquire_timeout=0.2) as pool:
        async with pool.acquire(), pool.acquire():
            with pytest.raises(PoolExhausted, match=r"raise database\.pool_size"):
                await pool.fetchval("SELECT 1")
        assert await pool.fetchval("SELECT 1") == 1


async def test_after_one_missed_deadline_all_connections_are_new(database_url: str) -> None:
    async with Proxy(database_url) as proxy:
        settings = load_settings(database={"pool_size": 4, **QUICK})
        async with await open_pool(settings, proxy.url) as pool:
            async with pool.acquire(), pool.acquire(), pool.acquire():
                pass
            proxy.swallow(new=False)
            with pytest.raises(StatementTimeout):
                await pool.fetchval("SELECT 1")
            began = time.monotonic()
            assert [await pool.fetchval("SELECT 1") for _ in range(4)] == [1] * 4
            assert time.monotonic() - began < QUICK["statement_timeout"]


@pytest.mark.parametrize("notifications", [True, False])
async def test_work_resumes_after_connections_fell_silent(
    database_url: str, *, notifications: bool
) -> None:
    """Accepted triggers arrive once during claims, results and heartbeats."""
    slow = Respond(delay=0.01)
    async with (
        Proxy(database_url) as proxy,
        Receiver(default=slow) as receiver,
        engine_on(database_url) as producer,
        engine_on(
            proxy.url,
            notifications=notifications,
            database=QUICK,
            worker={"concurrency": 10, "batch_size": 20, "dead_after": 4.0},
        ) as engine,
    ):
        await producer.reactions.create(name="r", url=receiver.url("/r"))
        triggers = await producer.trigger_many([TriggerRequest("x", n) for n in range(400)])
        jobs = [job for trigger in triggers for job in trigger.jobs]
        async with engine.workers():
            for third in (1, 2):
                await receiver.wait_for(third * len(jobs) // 3, timeout=60)
                proxy.swallow(new=False)
            done = await wait_for_all(producer, jobs)
        assert {job.status for job in done} == {JobStatus.SUCCEEDED}
        assert set(receiver.counts.values()) == {1}
        assert [log.outcome for log in await all_logs(producer)] == [Outcome.SUCCEEDED] * 400


async def test_heartbeats_come_in_time_while_all_other_connections_are_silent(
    database_url: str,
) -> None:
    """Other statements may wait for half a minute, and the worker still counts as alive."""
    async with (
        Proxy(database_url) as proxy,
        Receiver(default=Respond(delay=1.0)) as receiver,
        engine_on(database_url, worker={"dead_after": 6.0}) as other,
        engine_on(
            proxy.url,
            # The result is written once its first statement has missed this deadline: only the
            # heartbeat may use a session beyond the pool's size.
            database={"pool_size": 2, "statement_timeout": 2.0},
            worker={"dead_after": 6.0, "batch_size": 2},
        ) as engine,
    ):
        await engine.reactions.create(name="r", url=receiver.url("/r"))
        async with engine.workers() as worker:
            trigger = await engine.trigger("x", 1)
            await receiver.wait_for(1)
            async with other.workers():
                # Two sessions that hold their places in the pool, as statements do that wait.
                async with engine._pool.acquire(), engine._pool.acquire():
                    proxy.swallow(new=False)
                    seen = await seen_at(other, worker.id)

                    async def moved_on() -> bool:
                        return await seen_at(other, worker.id) != seen

                    await until(moved_on, timeout=5.5)
                job = await other.jobs.wait(trigger.jobs[0], timeout=60)
        assert job.status is JobStatus.SUCCEEDED
        assert receiver.count() == 1


async def test_triggers_accepted_over_silent_connections_are_all_delivered(
    database_url: str,
) -> None:
    """A trigger may be written despite an error; an accepted trigger is always written."""
    async with (
        Proxy(database_url) as proxy,
        engine_on(database_url) as reader,
        engine_on(proxy.url, database=QUICK) as producer,
    ):
        await reader.reactions.create(name="r", url="http://127.0.0.1:9/r")
        accepted: list[UUID] = []
        errors: list[delivery.DatabaseError] = []
        for number in range(60):
            if number % 20 == 10:
                proxy.swallow(new=False)
            try:
                accepted.append((await producer.trigger("x", number)).id)
            except delivery.DatabaseError as error:
                errors.append(error)
        assert len(errors) <= 3
        assert len(accepted) + len(errors) == 60
        for trigger_id in accepted:
            assert (await reader.triggers.get(trigger_id)).id == trigger_id


async def test_two_signals_end_a_worker_with_a_silent_database(database_url: str) -> None:
    async with (
        Proxy(database_url) as proxy,
        Receiver(default=Respond(delay=300)) as receiver,
        engine_on(database_url) as engine,
    ):
        await engine.reactions.create(name="r", url=receiver.url("/r"))
        patient = {"WORKER_SHUTDOWN_TIMEOUT": 300, "HTTP_TIMEOUT": 300}
        with WorkerProcess(proxy.url, **patient) as worker:
            await worker.ready()
            await engine.trigger("x", 1)
            await receiver.wait_for(1, timeout=60)
            proxy.swallow()
            began = time.monotonic()
            ending = asyncio.create_task(worker.terminate())
            await anyio.sleep(0.3)
            await worker.terminate()
            await ending
            assert time.monotonic() - began < 25


async def test_one_signal_ends_a_worker_with_a_silent_database(database_url: str) -> None:
    async with Proxy(database_url) as proxy:
        with WorkerProcess(proxy.url, WORKER_SHUTDOWN_TIMEOUT=0.5) as worker:
            await worker.ready()
            proxy.swallow()
            began = time.monotonic()
            await worker.terminate()
            assert time.monotonic() - began < 25


async def until_in_use(pool: object) -> None:
    """Wait until the one statement of a test is under way."""

    async def in_use() -> bool:
        return any(session.is_occupied() for session in pool._busy)  # type: ignore[attr-defined]

    await until(in_use)


async def seen_at(engine: delivery.Engine, worker_id: UUID) -> object:
    """Return the time of the last heartbeat of a worker."""
    return await engine._pool.fetchval(
        "SELECT seen_at FROM delivery.workers WHERE id = $1", worker_id
    )


async def test_a_worker_that_cannot_write_its_first_heartbeat_in_time_says_so(
    database_url: str,
) -> None:
    async with (
        engine_on(database_url, worker={"dead_after": 1.0}) as engine,
        owning(database_url) as connection,
        connection.transaction(),
    ):
        await connection.execute("LOCK TABLE delivery.workers IN ACCESS EXCLUSIVE MODE")
        with pytest.raises(StatementTimeout, match="the heartbeat within"):
            async with engine.workers():
                pytest.fail("the worker does not start")

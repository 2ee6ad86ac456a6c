"""Jobs that a living worker has forgotten are taken over, and slow ones are left alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio
import asyncpg
import pytest

from delivery import JobStatus, Outcome, TriggerRequest
from delivery.clock import Clock
from delivery.engine.announcements import Announcements
from delivery.engine.events import EventBus
from delivery.engine.operational_triggers import OperationalTriggers
from delivery.engine.reaper import Reaper
from delivery.queue.wakeups import Waker
from delivery.queue.windows import CallEnd
from delivery.testing import Receiver, Respond
from tests.support.conditions import until
from tests.support.engines import all_logs, engine_on, wait_for_all
from tests.support.queues import opened
from tests.support.raw_servers import until as turns_until
from tests.support.schema_changes import change_schema

if TYPE_CHECKING:
    from uuid import UUID

    from delivery import Engine
    from delivery.engine.runners.attempt import Attempt
    from tests.support.queues import Bench

pytestmark = pytest.mark.anyio

DEAD_AFTER = 3.0
ONE_AT_A_TIME = {"concurrency": 1, "slow_concurrency": 0, "batch_size": 10}


async def claims_of(engine: Engine, job_id: UUID) -> int:
    found = await engine._pool.fetchval("SELECT claims FROM delivery.jobs WHERE id = $1", job_id)
    assert isinstance(found, int)
    return found


@pytest.mark.parametrize("concurrency", [None, 5])
async def test_a_job_that_never_was_called_goes_back_as_it_was(
    database_url: str, caplog: pytest.LogCaptureFixture, *, concurrency: int | None
) -> None:
    async with (
        Receiver(default=Respond(delay=1.0)) as receiver,
        engine_on(database_url, worker=ONE_AT_A_TIME) as engine,
    ):
        await engine.reactions.create(name="r", url=receiver.url("/r"), concurrency=concurrency)
        triggers = await engine.trigger_many([TriggerRequest("x", n) for n in range(4)])
        jobs = [job for trigger in triggers for job in trigger.jobs]
        async with engine.workers() as worker:
            await receiver.wait_for(1)
            forgotten = worker._executor._waiting.pop().job
            receiver.endpoint("/r", Respond())
            done = await wait_for_all(engine, jobs)
        assert [job.status for job in done] == [JobStatus.SUCCEEDED] * 4
        assert [job.attempt for job in done] == [1] * 4
        assert set(receiver.counts.values()) == {1}, "nothing was delivered twice"
        claims = {job: await claims_of(engine, job) for job in jobs}
        assert claims == {job: 2 if job == forgotten.job_id else 1 for job in jobs}
        assert len(await all_logs(engine)) == 4
        for table in ("leases", "waiting_jobs", "held_slots"):
            assert await engine._pool.fetchval(f"SELECT count(*) FROM delivery.{table}") == 0
        assert any("no part of the worker" in each for each in caplog.messages)


async def test_a_job_that_was_called_is_logged_as_lost_and_runs_again(database_url: str) -> None:
    async with (
        Receiver(default=Respond(delay=0.2)) as receiver,
        engine_on(database_url) as engine,
    ):
        await engine._pool.execute(
            "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS"
            " $$ BEGIN RAISE EXCEPTION 'not today'; END $$;"
            "CREATE TRIGGER refuse BEFORE INSERT ON delivery.delivery_logs FOR EACH ROW"
            " EXECUTE FUNCTION refuse()"
        )
        await engine.reactions.create(name="r", url=receiver.url("/r"))
        (job_id,) = (await engine.trigger("x", 1)).jobs
        async with engine.workers() as worker:
            parked = worker._settler._parked

            async def is_parked() -> bool:
                return len(parked) == 1

            await until(is_parked)
            for key in list(parked._groups):
                parked.take(key, 1)
            await change_schema(engine._pool, "DROP TRIGGER refuse ON delivery.delivery_logs")
            (job,) = await wait_for_all(engine, [job_id])
        assert (job.status, job.attempt, job.stalls) == (JobStatus.SUCCEEDED, 2, 1)
        logs = await all_logs(engine)
        assert [log.outcome for log in logs] == [Outcome.LOST, Outcome.SUCCEEDED]
        assert "lost track" in (logs[0].error or "")
        assert receiver.count() == 2


async def test_a_job_that_cannot_be_taken_over_now_does_not_stop_the_worker(
    database_url: str,
) -> None:
    async with (
        Receiver() as receiver,
        engine_on(database_url, worker={"dead_after": DEAD_AFTER}) as engine,
    ):
        await engine._pool.execute(
            "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS"
            " $$ BEGIN RAISE EXCEPTION 'not today'; END $$;"
            "CREATE TRIGGER refuse BEFORE INSERT ON delivery.delivery_logs FOR EACH ROW"
            " WHEN (NEW.attempt = 1 AND NEW.tenant_id = 'b') EXECUTE FUNCTION refuse()"
        )
        receiver.endpoint("/r")
        for tenant in ("a", "b"):
            await engine.reactions.create(name="r", url=receiver.url("/r"), tenant_id=tenant)
        (job_id,) = (await engine.trigger("x", 1, tenant_id="b")).jobs
        async with engine.workers() as worker:
            parked = worker._settler._parked

            async def is_parked() -> bool:
                return len(parked) == 1

            await until(is_parked)
            for key in list(parked._groups):
                parked.take(key, 1)
            # Longer than a worker may be silent.
            await anyio.sleep(1.5 * DEAD_AFTER)
            trigger = await engine.trigger("x", 1, tenant_id="a")
            await engine.jobs.wait(trigger.jobs[0], tenant_id="a", timeout=60)
            await change_schema(engine._pool, "DROP TRIGGER refuse ON delivery.delivery_logs")
            job = await engine.jobs.wait(job_id, tenant_id="b", timeout=60)
        assert (job.status, job.attempt) == (JobStatus.SUCCEEDED, 2)


async def test_a_lock_on_a_forgotten_job_does_not_stop_the_worker(database_url: str) -> None:
    async with (
        Receiver(default=Respond(delay=0.5)) as receiver,
        engine_on(database_url, worker={**ONE_AT_A_TIME, "dead_after": DEAD_AFTER}) as engine,
    ):
        await engine.reactions.create(name="r", url=receiver.url("/r"))
        triggers = await engine.trigger_many([TriggerRequest("x", n) for n in range(3)])
        jobs = [job for trigger in triggers for job in trigger.jobs]
        other = await asyncpg.connect(database_url)
        try:
            async with engine.workers() as worker:
                await receiver.wait_for(1)
                forgotten = worker._executor._waiting.pop().job
                await other.execute("BEGIN")
                await other.execute(
                    "UPDATE delivery.jobs SET updated_at = now() WHERE id = $1", forgotten.job_id
                )
                rest = [job for job in jobs if job != forgotten.job_id]
                await wait_for_all(engine, rest)
                # Longer than a worker may be silent.
                silent_from = engine._clock.steady() + 1.5 * DEAD_AFTER

                async def is_later() -> bool:
                    return engine._clock.steady() >= silent_from

                await until(is_later)
                receiver.endpoint("/r", Respond())
                trigger = await engine.trigger("x", 4)
                await wait_for_all(engine, trigger.jobs, timeout=60)
                await turns_until(worker._heartbeat.held)
                await other.execute("ROLLBACK")
                (job,) = await wait_for_all(engine, [forgotten.job_id])
        finally:
            await other.close()
        assert (job.status, job.attempt) == (JobStatus.SUCCEEDED, 1)


async def test_a_lane_is_reported_once_if_a_job_fails_before_its_call_begins(
    database_url: str,
) -> None:
    async with (
        Receiver(default=Respond()) as receiver,
        engine_on(database_url) as engine,
    ):
        # Only the calls of jobs with a limit of time have to be admitted.
        limited = {"max_elapsed": 60.0}
        await engine.reactions.create(name="r", url=receiver.url("/r"), retry=limited)
        async with engine.workers() as worker:
            executor, left = worker._executor, []
            finished, admits = worker._executor._on_finished, worker._executor._admission.admits

            def counting(lane: UUID, end: CallEnd) -> None:
                left.append(end)
                finished(lane, end)

            def failing(attempt: Attempt) -> bool:
                executor._admission.admits = admits  # type: ignore[method-assign]
                raise RuntimeError(attempt.job.job_id)

            # A mistake of the engine's own, which no input causes.
            executor._admission.admits = failing  # type: ignore[method-assign]
            executor._on_finished = executor._recorder._on_finished = counting
            worker._audit._consumer.finished = counting  # type: ignore[method-assign]
            (job_id,) = (await engine.trigger("x", 1)).jobs
            (job,) = await wait_for_all(engine, [job_id])
            assert (job.status, job.attempt) == (JobStatus.SUCCEEDED, 1)
        assert left == [CallEnd.NOT_CALLED, CallEnd.RESPONDED]


async def test_a_call_that_lasts_longer_than_many_audits_is_left_alone(
    database_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    settings = {"concurrency": 2, "slow_concurrency": 1, "heartbeat_interval": 0.05}
    async with (
        Receiver(default=Respond(delay=1.5)) as receiver,
        engine_on(database_url, worker=settings) as engine,
    ):
        await engine.reactions.create(name="r", url=receiver.url("/r"))
        triggers = await engine.trigger_many([TriggerRequest("x", n) for n in range(5)])
        jobs = [job for trigger in triggers for job in trigger.jobs]
        async with engine.workers():
            done = await wait_for_all(engine, jobs)
        assert {job.status for job in done} == {JobStatus.SUCCEEDED}
        assert {await claims_of(engine, job) for job in jobs} == {1}
        assert set(receiver.counts.values()) == {1}
        assert not any("no part of the worker" in each for each in caplog.messages)


async def test_jobs_of_unreadable_reactions_are_left_alone(database_url: str) -> None:
    settings = {"heartbeat_interval": 0.05}
    async with Receiver() as receiver, engine_on(database_url, worker=settings) as engine:
        receiver.endpoint("/r")
        await engine.reactions.create(name="r", event_types=["x"], url=receiver.url("/r"))
        # So that the second trigger need not read the reactions.
        await engine.trigger("y", 1)
        other = await asyncpg.connect(database_url)
        try:
            async with engine.workers() as worker:
                await other.execute("BEGIN; LOCK TABLE delivery.reaction_versions")
                (job_id,) = (await engine.trigger("x", 1)).jobs

                async def is_claimed() -> bool:
                    return bool(list(worker._intake.jobs()))

                await until(is_claimed)
                # Many audits long.
                await anyio.sleep(0.5)
                await other.execute("COMMIT")
                (job,) = await wait_for_all(engine, [job_id])
        finally:
            await other.close()
        assert job.status is JobStatus.SUCCEEDED
        assert await claims_of(engine, job_id) == 1
        assert receiver.count() == 1


async def test_a_lease_that_cannot_be_reaped_does_not_block_others(
    database_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with opened(database_url) as bench:
        await bench.pool.execute(
            "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS"
            " $$ BEGIN RAISE EXCEPTION 'not today'; END $$"
        )
        await bench.enqueue(6)
        dead = bench.ids.new()
        claims = [await bench.claim(2, worker_id=dead) for _ in range(3)]
        refused = claims[1][1][0].job_id
        await bench.pool.execute(
            "CREATE TRIGGER refuse BEFORE INSERT ON delivery.delivery_logs FOR EACH ROW"
            f" WHEN (NEW.job_id = '{refused}') EXECUTE FUNCTION refuse()"
        )
        telling = Announcements(
            bench.pool,
            OperationalTriggers(
                bench.pool, bench.ids, Waker(bench.pool, notifications=False), EventBus()
            ),
        )
        reaper = Reaper(
            bench.pool,
            bench.worker_id,
            Clock(),
            bench.ids,
            telling,
            EventBus(),
            interval=0.05,
            dead_after=0.2,
            max_stalls=3,
        )
        async with anyio.create_task_group() as group:
            group.start_soon(reaper.run)
            await until(lambda: leases_left(bench, 1))
            await anyio.sleep(0.3)
            assert await leases_left(bench, 1)
            loud = [each for each in caplog.messages if "cannot return the jobs" in each]
            assert len(loud) == 1
            await change_schema(bench.pool, "DROP TRIGGER refuse ON delivery.delivery_logs")
            await until(lambda: leases_left(bench, 0))
            group.cancel_scope.cancel()
        assert await bench.pool.fetchval("SELECT count(*) FROM delivery.waiting_jobs") == 6
        assert await bench.pool.fetchval("SELECT count(*) FROM delivery.delivery_logs") == 6


async def leases_left(bench: Bench, count: int) -> bool:
    return bool(await bench.pool.fetchval("SELECT count(*) FROM delivery.leases") == count)

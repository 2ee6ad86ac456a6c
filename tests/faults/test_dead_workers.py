"""Workers die at any moment: everything finishes, every attempt has its row, little is repeated."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING

import anyio
import pytest

from delivery import JobStatus, Outcome, TriggerRequest
from delivery.testing import Hang, Receiver, Respond
from tests.support.engines import QUICK_RETRIES, all_logs, engine_on, wait_for_all
from tests.support.worker_processes import WorkerProcess

if TYPE_CHECKING:
    from delivery import DeliveryLog, Engine

pytestmark = pytest.mark.anyio

KILLS = 20
PROCESS = {
    "WORKER_HEARTBEAT_INTERVAL": 0.3,
    "WORKER_DEAD_AFTER": 4.0,
    "WORKER_POLL_MAX": 0.2,
    "WORKER_MAX_STALLS": 100,
}


@pytest.mark.timeout(900)
async def test_twenty_killed_workers_lose_none_of_five_thousand_deliveries(
    database_url: str,
) -> None:
    async with Receiver(default=Respond(delay=0.01)) as receiver, engine_on(database_url) as engine:
        for number in range(10):
            await engine.reactions.create(name=str(number), url=receiver.url(f"/{number}"))
        triggers = await engine.trigger_many([TriggerRequest("x", n) for n in range(500)])
        jobs = [job for trigger in triggers for job in trigger.jobs]

        # Few calls at a time, so that there is a middle of it for twenty workers to die in.
        settings = {**PROCESS, "WORKER_CONCURRENCY": 8, "WORKER_BATCH_SIZE": 16}
        workers = [WorkerProcess(database_url, **settings) for _ in range(2)]
        try:
            for kill in range(KILLS):
                workers.append(WorkerProcess(database_url, **settings))
                await workers[0].ready()
                await receiver.wait_for((kill + 1) * len(jobs) // (KILLS + 2), timeout=120)
                workers.pop(0).kill()
            assert receiver.count() < len(jobs), "all of them died in the middle"
            await wait_for_all(engine, jobs, timeout=120)
        finally:
            for worker in workers:
                worker.kill()
        await assert_honest(engine, receiver)


async def assert_honest(engine: Engine, receiver: Receiver) -> None:
    """Assert that all jobs succeeded, each attempt has one row, and only lost ones repeat."""
    rows: dict[str, list[DeliveryLog]] = defaultdict(list)
    for log in await all_logs(engine):
        rows[f"msg_{log.job_id.hex}"].append(log)
    received: Counter[str] = Counter()
    for (_, message), count in receiver.counts.items():
        received[message] += count
    cursor = None
    while True:
        page = await engine.jobs.list(limit=200, cursor=cursor)
        for job in page.items:
            message = f"msg_{job.id.hex}"
            assert job.status is JobStatus.SUCCEEDED
            attempts = sorted(log.attempt for log in rows[message])
            assert attempts == list(range(1, job.attempt + 1)), "one row for each attempt"
            outcomes = Counter(log.outcome for log in rows[message])
            assert outcomes[Outcome.SUCCEEDED] == 1
            known = len(attempts) - outcomes[Outcome.LOST]
            assert known <= received[message] <= len(attempts)
        cursor = page.next_cursor
        if cursor is None:
            break
    assert set(received) == set(rows), "every success was received"


async def test_a_job_whose_workers_die_repeatedly_fails_as_stalled(database_url: str) -> None:
    async with Receiver(default=Hang()) as receiver, engine_on(database_url) as engine:
        await engine.reactions.create(name="deadly", url=receiver.url("/deadly"))
        trigger = await engine.trigger("x", 1)
        settings = {**PROCESS, "WORKER_DEAD_AFTER": 3.0, "WORKER_MAX_STALLS": 1}
        for deaths in (1, 2):
            with WorkerProcess(database_url, **settings) as worker:
                await receiver.wait_for(deaths, timeout=60)
                worker.kill()
        with WorkerProcess(database_url, **settings):
            (job,) = await wait_for_all(engine, trigger.jobs)
        assert job.status is JobStatus.FAILED
        assert job.failure_kind == "stalled"
        assert job.stalls == 2
        assert len((await engine.triggers.list(type="job.exhausted")).items) == 1
        assert [log.outcome for log in await all_logs(engine)] == [Outcome.LOST] * 2
        assert receiver.count() == 2


async def test_a_lost_attempt_does_not_use_up_an_attempt(database_url: str) -> None:
    async with Receiver(default=Hang()) as receiver, engine_on(database_url) as engine:
        await engine.reactions.create(name="r", url=receiver.url("/r"), retry=QUICK_RETRIES)
        trigger = await engine.trigger("x", 1)
        with WorkerProcess(database_url, **PROCESS) as worker:
            await receiver.wait_for(1, timeout=60)
            running = await engine.jobs.get(trigger.jobs[0])
            assert running.status is JobStatus.RUNNING
            assert running.locked_by is not None
            worker.kill()
        receiver.endpoint("/r", Respond(500))
        with WorkerProcess(database_url, **PROCESS):
            (job,) = await wait_for_all(engine, trigger.jobs)
        assert job.exhausted
        assert job.attempt == 5, "one lost, and the four that the policy allows"


async def test_a_suspended_worker_that_wakes_up_repeats_nothing_it_had_not_begun(
    database_url: str,
) -> None:
    slow = Respond(delay=0.5)
    async with Receiver(default=slow) as receiver, engine_on(database_url) as engine:
        await engine.reactions.create(name="r", url=receiver.url("/r"))
        triggers = await engine.trigger_many([TriggerRequest("x", n) for n in range(12)])
        jobs = [job for trigger in triggers for job in trigger.jobs]
        settings = {**PROCESS, "WORKER_DEAD_AFTER": 3.0}
        with WorkerProcess(database_url, **settings, WORKER_CONCURRENCY=2) as sleeper:
            await receiver.wait_for(2, timeout=60)
            sleeper.suspend()
            receiver.endpoint("/r", Respond())
            with WorkerProcess(database_url, **settings):
                await wait_for_all(engine, jobs)
                sleeper.resume()
                # The two calls in flight end, and are recorded correctly.
                with anyio.fail_after(60):
                    while not any(log.outcome is Outcome.LATE for log in await all_logs(engine)):
                        await anyio.sleep(0.05)
                assert await sleeper.terminate() == 0
        begun_twice = [count for count in receiver.counts.values() if count > 1]
        assert len(begun_twice) <= 2, "only what was under way when it was suspended"
        assert max(receiver.counts.values()) == 2


async def test_sigterm_lets_a_worker_end_in_good_order(database_url: str) -> None:
    async with (
        Receiver(default=Respond(delay=0.3)) as receiver,
        engine_on(database_url) as engine,
    ):
        await engine.reactions.create(name="r", url=receiver.url("/r"))
        trigger = await engine.trigger("x", 1)
        with WorkerProcess(database_url, **PROCESS) as worker:
            await receiver.wait_for(1, timeout=60)
            assert await worker.terminate() == 0
        job = await engine.jobs.get(trigger.jobs[0])
        assert job.status is JobStatus.SUCCEEDED
        assert await engine._pool.fetchval("SELECT count(*) FROM delivery.workers") == 0
        assert await engine._pool.fetchval("SELECT count(*) FROM delivery.leases") == 0

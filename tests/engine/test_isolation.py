"""What one endpoint does, or one tenant waits for, is not felt by others."""

from __future__ import annotations

import asyncio
import socket
import time
from collections import deque
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import anyio
import pytest

from delivery import TriggerRequest
from delivery.testing import Answer, Drop, Hang, Receiver
from tests.support.engines import all_logs, engine_on, wait_for_all
from tests.support.raw_servers import unanswering_port, until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from delivery import Engine, Trigger
    from delivery.engine.executor import Executor
    from delivery.engine.worker import Worker

pytestmark = pytest.mark.anyio


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with Receiver(default=Answer()) as running:
        yield running


@asynccontextmanager
async def working(engine: Engine) -> AsyncIterator[Worker]:
    """Workers that do not wait at the end for what hangs."""
    async with engine.workers() as worker:
        yield worker
        worker.stop_at_once()


async def test_a_thousand_jobs_for_endpoints_that_hang_delay_nobody(
    database_url: str, receiver: Receiver
) -> None:
    settings = {"concurrency": 40, "batch_size": 20, "shutdown_timeout": 0}
    async with engine_on(database_url, worker=settings) as engine:
        for number in range(3):
            receiver.endpoint(f"/hang/{number}", Hang())
            await engine.reactions.create(
                name="hangs", event_types=["bad"], url=receiver.url(f"/hang/{number}")
            )
        await engine.reactions.create(
            name="healthy", event_types=["good"], url=receiver.url("/healthy")
        )
        await engine.trigger_many([TriggerRequest("bad", n) for n in range(300)])
        async with working(engine):
            await receiver.wait_for(30)
            triggers = await engine.trigger_many([TriggerRequest("good", n) for n in range(200)])
            with anyio.fail_after(5):
                await wait_for_all(engine, [job for each in triggers for job in each.jobs])
        hanging = receiver.count() - receiver.count("/healthy")
        assert hanging == 30, "each lane has its first window, and no more"


async def test_endpoints_that_hang_hold_sockets_but_not_the_places_of_others(
    database_url: str, receiver: Receiver
) -> None:
    settings = {"concurrency": 8, "batch_size": 8, "shutdown_timeout": 0}
    async with engine_on(database_url, worker=settings) as engine:
        for number in range(4):
            receiver.endpoint(f"/hang/{number}", Hang())
            await engine.reactions.create(
                name="hangs", event_types=["bad"], url=receiver.url(f"/hang/{number}")
            )
        await engine.reactions.create(
            name="healthy", event_types=["good"], url=receiver.url("/healthy")
        )
        await engine.trigger_many([TriggerRequest("bad", n) for n in range(50)])
        async with working(engine):
            # All places are taken by calls that hang, until they have lasted for a second.
            await receiver.wait_for(8)
            trigger = await engine.trigger("good", 1)
            (job,) = await wait_for_all(engine, trigger.jobs, timeout=10)
            assert job.started_at is not None
            assert (job.started_at - trigger.created_at).total_seconds() < 8
        assert receiver.count() > 8


async def test_a_slow_path_of_one_tenant_does_not_hold_up_anothers_calls_to_the_same_host(
    database_url: str, receiver: Receiver
) -> None:
    receiver.endpoint("/slow", Answer(delay=0.4))
    http = {"connections_per_origin": 32, "timeout": 0.8}
    async with engine_on(database_url, http=http) as engine:
        for number in range(30):
            await engine.reactions.create(
                name=f"slow {number}", tenant_id="busy", url=receiver.url("/slow")
            )
        await engine.reactions.create(name="fast", tenant_id="quiet", url=receiver.url("/fast"))
        await engine.trigger_many([TriggerRequest("x", n) for n in range(5)], tenant_id="busy")
        async with working(engine):
            await receiver.wait_for(28)
            for number in range(5):
                trigger = await engine.trigger("x", number, tenant_id="quiet")
                job = await engine.jobs.wait(trigger.jobs[0], tenant_id="quiet", timeout=20)
                assert job.finished_at is not None
                # Alone it takes some milliseconds; behind those that wait it would be seconds.
                assert (job.finished_at - trigger.created_at).total_seconds() < 1.0
            await receiver.wait_for(100, path="/slow")
        logs = await all_logs(engine, tenant_id="busy")
        assert {log.outcome for log in logs if log.outcome != "lost"} == {"succeeded"}, (
            "the time that calls wait is no part of their timeout"
        )
        durations = [log.duration_ms for log in logs if log.duration_ms is not None]
        assert all(380 < duration < 790 for duration in durations), durations


async def test_a_call_is_made_between_those_of_another_tenant_that_take_long_to_make(
    database_url: str, receiver: Receiver
) -> None:
    large = {"id": "A-1", "rows": [{"n": n, "x": 1.5, "y": "z"} for n in range(2_000)]}
    async with engine_on(database_url) as engine:
        await engine.reactions.create(
            name="busy",
            tenant_id="busy",
            url=receiver.url("/busy"),
            body={"kind": "json", "content": {"all": "{{ event.rows }}"}},
        )
        await engine.reactions.create(name="quiet", tenant_id="quiet", url=receiver.url("/quiet"))
        await engine.trigger_many([TriggerRequest("x", large) for _ in range(60)], tenant_id="busy")
        async with working(engine):
            await receiver.wait_for(1, path="/busy")
            await engine.trigger("x", 1, tenant_id="quiet")
            await receiver.wait_for(1, path="/quiet")
            assert receiver.count("/busy") < 50
            await receiver.wait_for(60, path="/busy")


async def trigger_held_up(engine: Engine, executor: Executor) -> Trigger:
    """Make two jobs, and let their calls wait until `let_compute`."""
    executor._runner.computations._free_at = time.monotonic() + 3600
    trigger = await engine.trigger("x", {"n": 1})
    await until(lambda: len(executor._attempts) == 2)
    return trigger


def let_compute(executor: Executor) -> None:
    computations = executor._runner.computations
    assert computations._timer is not None
    computations._timer.cancel()
    computations._timer, computations._free_at = None, 0.0
    computations._schedule()


async def test_a_call_whose_place_is_taken_while_it_waits_to_compute_is_no_call_in_flight(
    database_url: str, receiver: Receiver
) -> None:
    receiver.endpoint("/slow", Answer(delay=0.5))
    async with engine_on(database_url, http={"connections_per_origin": 1}) as engine:
        for number in range(2):
            await engine.reactions.create(
                name=str(number),
                url=receiver.url("/slow"),
                body={"kind": "json", "content": {"all": "{{ event.n }}"}},
            )
        async with working(engine) as worker:
            executor = worker._executor
            # Both calls are admitted while the only place is free.
            trigger = await trigger_held_up(engine, executor)
            assert not executor._waiters.attempts
            let_compute(executor)
            await until(lambda: len(executor._waiters.attempts) == 1)
            assert len(executor._running) == 1
            jobs = await wait_for_all(engine, trigger.jobs)
        assert [(job.status, job.attempt) for job in jobs] == [("succeeded", 1)] * 2


async def test_calls_that_begin_to_wait_for_a_place_during_a_stop_are_handed_back(
    database_url: str, receiver: Receiver
) -> None:
    receiver.endpoint("/slow", Answer(delay=0.5))
    async with engine_on(database_url, http={"connections_per_origin": 1}) as engine:
        for number in range(2):
            await engine.reactions.create(
                name=str(number),
                url=receiver.url("/slow"),
                body={"kind": "json", "content": {"all": "{{ event.n }}"}},
            )
        async with engine.workers() as worker:
            trigger = await trigger_held_up(engine, worker._executor)
            stopping = asyncio.create_task(worker._executor.stop(10))
            await until(lambda: worker._executor._stopping)
            let_compute(worker._executor)
            await stopping
            assert worker._executor._waiting == deque()
            assert not worker._executor._waiters.attempts
        jobs = [await engine.jobs.get(job) for job in trigger.jobs]
        assert sorted((job.status.value, job.attempt) for job in jobs) == [
            ("queued", 0),
            ("succeeded", 1),
        ]
        assert await engine._pool.fetchval("SELECT count(*) FROM delivery.leases") == 0


async def test_jobs_that_wait_for_a_place_are_handed_back_unbegun_when_the_worker_stops(
    database_url: str, receiver: Receiver
) -> None:
    receiver.endpoint("/hang", Hang())
    http = {"connections_per_origin": 2}
    async with engine_on(database_url, http=http, worker={"shutdown_timeout": 0}) as engine:
        for number in range(3):
            await engine.reactions.create(name=str(number), url=receiver.url("/hang"))
        await engine.trigger_many([TriggerRequest("x", n) for n in range(2)])
        async with working(engine) as worker:
            await receiver.wait_for(2)
            await until(lambda: len(worker._executor._waiters.attempts) == 4)
        jobs = (await engine.jobs.list()).items
        assert sorted(job.attempt for job in jobs) == [0, 0, 0, 0, 1, 1]
        assert {job.status for job in jobs} == {"queued"}


async def test_an_endpoint_that_refuses_is_tried_one_call_at_a_time_at_growing_pauses(
    database_url: str, receiver: Receiver
) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        async with engine_on(database_url) as engine:
            await engine.reactions.create(
                name="refuses",
                event_types=["bad"],
                url=f"http://127.0.0.1:{closed.getsockname()[1]}/",
            )
            await engine.reactions.create(
                name="healthy", event_types=["good"], url=receiver.url("/healthy")
            )
            await engine.trigger_many([TriggerRequest("bad", n) for n in range(1_000)])
            async with working(engine):
                for _ in range(5):
                    triggers = await engine.trigger_many(
                        [TriggerRequest("good", n) for n in range(100)]
                    )
                    await wait_for_all(engine, [job for each in triggers for job in each.jobs])
            refused = await all_logs(engine, outcome="retried")
            assert 4 <= len(refused) < 100, "the rest waits, and has used up no attempt"


async def test_a_reaction_comes_back_to_speed_when_its_endpoint_does(
    database_url: str, receiver: Receiver
) -> None:
    receiver.endpoint("/r", Drop())
    async with engine_on(database_url) as engine:
        await engine.reactions.create(
            name="r",
            url=receiver.url("/r"),
            retry={"strategy": "constant", "base": 0.1, "jitter": 0, "max_attempts": 100},
        )
        triggers = await engine.trigger_many([TriggerRequest("x", n) for n in range(400)])
        async with working(engine):
            await receiver.wait_for(12)
            receiver.endpoint("/r", Answer())
            jobs = [job for each in triggers for job in each.jobs]
            await wait_for_all(engine, jobs, timeout=15)


async def test_a_job_of_a_quiet_tenant_starts_at_once_beside_a_busy_ones_backlog(
    database_url: str, receiver: Receiver
) -> None:
    async with engine_on(database_url) as engine:
        for number in range(20):
            await engine.reactions.create(
                name=str(number), tenant_id="busy", url=receiver.url(f"/busy/{number}")
            )
        await engine.reactions.create(name="q", tenant_id="quiet", url=receiver.url("/quiet"))
        for _ in range(5):
            await engine.trigger_many(
                [TriggerRequest("x", n) for n in range(200)], tenant_id="busy"
            )
        async with working(engine):
            await receiver.wait_for(500)
            before = receiver.count()
            trigger = await engine.trigger("x", 1, tenant_id="quiet")
            await receiver.wait_for(1, path="/quiet")
            between = receiver.count() - before
            assert between < 5_000, "not behind what waited before it"
            assert between < 2_500, "a few batches at most"
            await engine.jobs.wait(trigger.jobs[0], tenant_id="quiet", timeout=10)


async def test_an_address_that_swallows_packets_delays_nobody(
    database_url: str, receiver: Receiver
) -> None:
    with unanswering_port() as port:
        async with engine_on(database_url, worker={"shutdown_timeout": 0}) as engine:
            await engine.reactions.create(
                name="silent", event_types=["bad"], url=f"http://127.0.0.1:{port}/"
            )
            await engine.reactions.create(
                name="healthy", event_types=["good"], url=receiver.url("/healthy")
            )
            await engine.trigger_many([TriggerRequest("bad", n) for n in range(300)])
            async with working(engine):
                triggers = await engine.trigger_many([TriggerRequest("good", n) for n in range(50)])
                with anyio.fail_after(5):
                    await wait_for_all(engine, [job for each in triggers for job in each.jobs])


async def test_a_job_committed_long_after_its_time_is_found_without_notifications(
    database_url: str, receiver: Receiver
) -> None:
    async with engine_on(database_url, notifications=False) as engine:
        await engine.reactions.create(name="r", url=receiver.url("/r"))
        async with working(engine), engine._pool.acquire() as connection:
            transaction = connection.transaction()
            await transaction.start()
            late = await engine.trigger("x", "late", connection=connection)
            while True:
                # Others go past it: claims of this lane look no further back than these.
                triggers = await engine.trigger_many([TriggerRequest("x", n) for n in range(20)])
                done = await wait_for_all(engine, [job for each in triggers for job in each.jobs])
                if (done[-1].run_at - late.created_at).total_seconds() > 0.6:
                    break
            await transaction.commit()
            with anyio.fail_after(5):
                await engine.jobs.wait(late.jobs[0], timeout=5)


async def test_a_job_with_a_time_in_the_past_is_found_behind_newer_ones(
    database_url: str, receiver: Receiver
) -> None:
    async with engine_on(database_url, notifications=False) as engine:
        await engine.reactions.create(name="r", url=receiver.url("/r"))
        async with working(engine):
            first = await engine.trigger("x", 1)
            await wait_for_all(engine, first.jobs)
            second = await engine.trigger("x", 2, run_at=first.created_at.replace(year=2020))
            with anyio.fail_after(5):
                await wait_for_all(engine, second.jobs)


async def test_long_responses_full_of_escapes_do_not_hold_up_the_event_loop(
    database_url: str, receiver: Receiver
) -> None:
    receiver.endpoint("/escapes", Answer(body=b"%25" * 21_000, delay=0.5))
    async with engine_on(database_url) as engine:
        for number in range(10):
            await engine.reactions.create(
                name=str(number), url=receiver.url("/escapes"), headers={"X-Token": "s3cr&t/abcdef"}
            )
        triggers = await engine.trigger_many([TriggerRequest("x", n) for n in range(10)])
        gaps = [0.0]

        async def watch() -> None:
            while True:
                before = anyio.current_time()
                await anyio.sleep(0)
                gaps.append(anyio.current_time() - before)

        async with working(engine), anyio.create_task_group() as watching:
            watching.start_soon(watch)
            await wait_for_all(engine, [job for each in triggers for job in each.jobs])
            watching.cancel_scope.cancel()
        assert max(gaps) < 0.25

"""Calls wait for a place at their endpoint, and for their turn to be computed."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from typing import TYPE_CHECKING

import anyio
import pytest

from delivery import TriggerRequest
from delivery.testing import Hang, Receiver, Respond
from tests.engine.test_isolation import HANGING, working
from tests.support.engines import all_logs, engine_on, wait_for_all
from tests.support.raw_servers import (
    OK,
    Connected,
    RawServer,
    answering_after,
    read_request,
    serving,
    until,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from delivery import Engine, Trigger
    from delivery.engine.executor import Executor

pytestmark = pytest.mark.anyio


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with Receiver(default=Respond()) as running:
        yield running


async def test_a_slow_path_of_one_tenant_does_not_hold_up_anothers_calls_to_the_same_host(
    database_url: str,
) -> None:
    opened = asyncio.Event()

    async def handler(server: RawServer, connected: Connected) -> None:
        while await read_request(server, connected):
            if b"/slow" in server.requests[-1][0]:
                await opened.wait()
            await connected.send(OK)

    http = {"connections_per_origin": 32, **HANGING}
    async with serving(handler) as server, engine_on(database_url, http=http) as engine:
        for number in range(30):
            await engine.reactions.create(
                name=f"slow {number}", tenant_id="busy", url=f"{server.url}/slow"
            )
        await engine.reactions.create(name="fast", tenant_id="quiet", url=f"{server.url}/fast")
        slow = await engine.trigger_many(
            [TriggerRequest("x", n) for n in range(5)], tenant_id="busy"
        )
        async with working(engine) as worker:
            waiting = worker._executor._waiters.attempts
            await until(lambda: len(server.requests) >= 28 and len(waiting) > 100)
            for number in range(5):
                fast = await engine.trigger("x", number, tenant_id="quiet")
                await engine.jobs.wait(fast.jobs[0], tenant_id="quiet", timeout=60)
            opened.set()
            for trigger in slow:
                await engine.triggers.wait(trigger.id, tenant_id="busy", timeout=60)
        logs = await all_logs(engine, tenant_id="busy")
        assert {log.outcome for log in logs} == {"succeeded"}
        assert len(logs) == 150


async def test_the_time_that_a_call_waits_for_a_place_is_no_part_of_its_timeout(
    database_url: str,
) -> None:
    quick = 2.0
    opened = asyncio.Event()
    async with (
        serving(answering_after(opened)) as server,
        engine_on(database_url, http={"connections_per_origin": 1, "timeout": 60}) as engine,
    ):
        await engine.reactions.create(name="holds", event_types=["holds"], url=server.url)
        await engine.reactions.create(
            name="waits", event_types=["waits"], url=server.url, timeout=quick
        )
        async with working(engine) as worker:
            await engine.trigger("holds", 1)
            await until(lambda: server.requests)
            trigger = await engine.trigger("waits", 1)
            await until(lambda: len(worker._executor._waiters.attempts) == 1)
            await anyio.sleep(1.5 * quick)
            opened.set()
            (job,) = await wait_for_all(engine, trigger.jobs)
        assert (job.status, job.attempt) == ("succeeded", 1)


async def test_a_call_is_made_between_those_of_another_tenant_that_take_long_to_make(
    database_url: str, receiver: Receiver
) -> None:
    large = {"id": "A-1", "rows": [{"n": n, "x": 1.5, "y": "z"} for n in range(2_000)]}
    async with engine_on(database_url) as engine:
        for tenant, event in (("busy", "{{ event.rows }}"), ("quiet", "{{ event.id }}")):
            await engine.reactions.create(
                name=tenant,
                tenant_id=tenant,
                url=receiver.url(f"/{tenant}"),
                body={"kind": "json", "content": {"all": event}},
                concurrency=60,
            )
        async with working(engine) as worker:
            executor = worker._executor
            hold_up(executor)
            await engine.trigger_many(
                [TriggerRequest("x", large) for _ in range(60)], tenant_id="busy"
            )
            waiting = executor._runner.computations._waiting
            await until(lambda: waiting.has_tenant("busy"))
            await engine.trigger("x", large, tenant_id="quiet")
            await until(lambda: waiting.has_tenant("quiet"))
            let_compute(executor)
            await receiver.wait_for(1, path="/quiet")
            assert receiver.count("/busy") < 10
            await receiver.wait_for(60, path="/busy")


def hold_up(executor: Executor) -> None:
    """Hold up the calls until `let_compute`."""
    executor._runner.computations._free_at = time.monotonic() + 3600


async def trigger_held_up(engine: Engine, executor: Executor) -> Trigger:
    """Make two jobs, and let their calls wait until `let_compute`."""
    hold_up(executor)
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
    database_url: str,
) -> None:
    opened = asyncio.Event()
    async with (
        serving(answering_after(opened)) as server,
        engine_on(database_url, http={"connections_per_origin": 1}) as engine,
    ):
        for number in range(2):
            await engine.reactions.create(
                name=str(number),
                url=server.url,
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
            opened.set()
            jobs = await wait_for_all(engine, trigger.jobs)
        assert [(job.status, job.attempt) for job in jobs] == [("succeeded", 1)] * 2


async def test_calls_that_begin_to_wait_for_a_place_during_a_stop_are_handed_back(
    database_url: str,
) -> None:
    opened = asyncio.Event()
    async with (
        serving(answering_after(opened)) as server,
        engine_on(database_url, http={"connections_per_origin": 1}) as engine,
    ):
        for number in range(2):
            await engine.reactions.create(
                name=str(number),
                url=server.url,
                body={"kind": "json", "content": {"all": "{{ event.n }}"}},
            )
        async with engine.workers() as worker:
            trigger = await trigger_held_up(engine, worker._executor)
            stopping = asyncio.create_task(worker._executor.stop(60))
            await until(lambda: worker._executor._stopping)
            let_compute(worker._executor)
            await until(lambda: server.requests and len(worker._executor._attempts) == 1)
            opened.set()
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

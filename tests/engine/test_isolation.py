"""Isolation: one endpoint or tenant does not affect others."""

from __future__ import annotations

import socket
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import anyio
import pytest

from delivery import TriggerRequest
from delivery.testing import Drop, Hang, Receiver, Respond
from tests.support.engines import all_logs, engine_on, wait_for_all
from tests.support.raw_servers import unanswering_port

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from delivery import Engine
    from delivery.engine.worker import Worker

pytestmark = pytest.mark.anyio

HANGING = {"timeout": 300, "connect_timeout": 300}
"""Calls that hang do so for as long as any test lasts."""


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with Receiver(default=Respond()) as running:
        yield running


@asynccontextmanager
async def working(engine: Engine) -> AsyncIterator[Worker]:
    """Run a worker that does not wait for hanging calls at its end."""
    async with engine.workers() as worker:
        yield worker
        worker.stop_at_once()


async def test_a_thousand_jobs_for_hanging_endpoints_do_not_delay_others(
    database_url: str, receiver: Receiver
) -> None:
    settings = {"concurrency": 40, "batch_size": 20, "shutdown_timeout": 0}
    async with engine_on(database_url, worker=settings, http=HANGING) as engine:
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
            await wait_for_all(engine, [job for each in triggers for job in each.jobs])
        hanging = receiver.count() - receiver.count("/healthy")
        assert hanging == 30, "each lane has its first window, and no more"


async def test_endpoints_that_hang_hold_sockets_but_not_the_places_of_others(
    database_url: str, receiver: Receiver
) -> None:
    settings = {"concurrency": 8, "batch_size": 8, "shutdown_timeout": 0}
    async with engine_on(database_url, worker=settings, http=HANGING) as engine:
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
            await wait_for_all(engine, trigger.jobs)
        assert receiver.count() > 8


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


async def test_a_reaction_returns_to_full_speed_when_its_endpoint_recovers(
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
            receiver.endpoint("/r", Respond())
            jobs = [job for each in triggers for job in each.jobs]
            await wait_for_all(engine, jobs)


async def test_a_job_of_a_quiet_tenant_starts_immediately_despite_a_busy_ones_backlog(
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
            await engine.jobs.wait(trigger.jobs[0], tenant_id="quiet", timeout=60)


async def test_an_address_that_swallows_packets_does_not_delay_others(
    database_url: str, receiver: Receiver
) -> None:
    with unanswering_port() as port:
        async with engine_on(database_url, worker={"shutdown_timeout": 0}, http=HANGING) as engine:
            await engine.reactions.create(
                name="silent", event_types=["bad"], url=f"http://127.0.0.1:{port}/"
            )
            await engine.reactions.create(
                name="healthy", event_types=["good"], url=receiver.url("/healthy")
            )
            await engine.trigger_many([TriggerRequest("bad", n) for n in range(300)])
            async with working(engine):
                triggers = await engine.trigger_many([TriggerRequest("good", n) for n in range(50)])
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
            await wait_for_all(engine, late.jobs)


async def test_a_job_with_a_time_in_the_past_is_found_after_newer_ones(
    database_url: str, receiver: Receiver
) -> None:
    async with engine_on(database_url, notifications=False) as engine:
        await engine.reactions.create(name="r", url=receiver.url("/r"))
        async with working(engine):
            first = await engine.trigger("x", 1)
            await wait_for_all(engine, first.jobs)
            second = await engine.trigger("x", 2, run_at=first.created_at.replace(year=2020))
            await wait_for_all(engine, second.jobs)


async def test_long_responses_full_of_escapes_do_not_hold_up_the_event_loop(
    database_url: str, receiver: Receiver
) -> None:
    receiver.endpoint("/escapes", Respond(body=b"%25" * 21_000, delay=0.5))
    async with engine_on(database_url) as engine:
        for number in range(10):
            await engine.reactions.create(
                name=str(number), url=receiver.url("/escapes"), headers={"X-Token": "s3cr&t/abcdef"}
            )
        triggers = await engine.trigger_many([TriggerRequest("x", n) for n in range(10)])
        gaps = [0.0]

        async def watch() -> None:
            while True:
                # Of this thread's own work: a busy machine may take the processor away.
                before = time.thread_time()
                await anyio.sleep(0)
                gaps.append(time.thread_time() - before)

        async with working(engine), anyio.create_task_group() as watching:
            watching.start_soon(watch)
            await wait_for_all(engine, [job for each in triggers for job in each.jobs])
            watching.cancel_scope.cancel()
        assert max(gaps) < 0.25

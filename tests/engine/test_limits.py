"""Limits that hold over all workers together: concurrency, rate and order."""

from __future__ import annotations

from contextlib import AsyncExitStack
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest

from delivery import InvalidInput, InvalidReaction, JobStatus, RateLimit, TriggerRequest
from delivery.testing import FailFirst, Hang, Receiver, Respond
from tests.support.engines import QUICK_RETRIES, all_logs, engine_on, wait_for_all
from tests.support.worker_processes import WorkerProcess

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from uuid import UUID

    from delivery import Engine

pytestmark = pytest.mark.anyio


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with Receiver(default=Respond()) as running:
        yield running


async def trigger_all(engine: Engine, count: int) -> list[UUID]:
    triggers = await engine.trigger_many([TriggerRequest("x", n) for n in range(count)])
    return [job for trigger in triggers for job in trigger.jobs]


async def slots(engine: Engine) -> Any:
    return await engine._pool.fetchval("SELECT count(*) FROM delivery.held_slots")


def most_within(arrivals: Sequence[float], seconds: float) -> int:
    """Return the largest number of arrivals within any span of this length in seconds."""
    ordered = sorted(arrivals)
    return max(sum(first <= each < first + seconds for each in ordered) for first in ordered)


async def test_two_workers_together_observe_concurrency(
    database_url: str, receiver: Receiver
) -> None:
    receiver.endpoint("/slow", Respond(delay=0.05))
    async with engine_on(database_url) as first, engine_on(database_url) as second:
        await first.reactions.create(name="slow", url=receiver.url("/slow"), concurrency=3)
        jobs = await trigger_all(first, 24)
        async with first.workers(), second.workers():
            await wait_for_all(first, jobs)
        arrivals = sorted(request.received_at for request in receiver.received)
        # A call takes at least the receiver's delay, so a fourth one cannot come sooner.
        spans = [fourth - one for one, fourth in zip(arrivals, arrivals[3:], strict=False)]
        assert min(spans) > 0.045
        assert await slots(first) == 0


async def test_a_reaction_may_have_more_concurrency_than_the_default(
    database_url: str, receiver: Receiver
) -> None:
    receiver.endpoint("/hang", Hang())
    receiver.endpoint("/ok")
    worker = {"reaction_concurrency": 2, "shutdown_timeout": 0}
    async with engine_on(database_url, worker=worker) as engine:
        await engine.reactions.create(
            name="r", event_types=["ok", "x"], url=receiver.url("/ok"), concurrency=30
        )
        jobs = await trigger_all(engine, 60)
        async with engine.workers():
            await wait_for_all(engine, jobs)
            reaction = (await engine.reactions.list()).items[0]
            await engine.reactions.update(reaction.id, url=receiver.url("/hang"))
            await trigger_all(engine, 40)
            await receiver.wait_for(30, path="/hang")
        assert receiver.count("/hang") == 30


async def test_two_workers_together_observe_a_rate_without_using_up_attempts(
    database_url: str, receiver: Receiver
) -> None:
    async with engine_on(database_url) as first, engine_on(database_url) as second:
        await first.reactions.create(name="r", url=receiver.url("/r"), rate_limit="5/2s")
        jobs = await trigger_all(first, 12)
        async with first.workers(), second.workers():
            done = await wait_for_all(first, jobs)
        arrivals = [request.received_at for request in receiver.received]
        assert len(arrivals) == 12
        # A call may be on its way for longer than the one after it.
        assert most_within(arrivals, 1.0) <= 5
        assert max(arrivals) - min(arrivals) > 4.0 - 1.0
        assert {job.attempt for job in done} == {1}
        assert {log.attempt for log in await all_logs(first)} == {1}


async def test_a_rate_limit_leaves_other_reactions_alone(
    database_url: str, receiver: Receiver
) -> None:
    async with engine_on(database_url) as engine:
        await engine.reactions.create(
            name="limited", url=receiver.url("/limited"), rate_limit=RateLimit(1, 3600)
        )
        await engine.reactions.create(name="free", url=receiver.url("/free"))
        await trigger_all(engine, 500)
        async with engine.workers():
            await receiver.wait_for(500, path="/free")
        assert receiver.count("/limited") == 1


async def test_a_removed_limit_ends_immediately(database_url: str, receiver: Receiver) -> None:
    async with engine_on(database_url) as engine:
        reaction = await engine.reactions.create(
            name="r", url=receiver.url("/r"), rate_limit={"limit": 1, "period": 3600}
        )
        jobs = await trigger_all(engine, 20)
        async with engine.workers():
            await receiver.wait_for(1)
            changed = await engine.reactions.update(reaction.id, rate_limit=None)
            assert changed.params.rate_limit is None
            await wait_for_all(engine, jobs)


async def test_a_raised_rate_applies_immediately(database_url: str, receiver: Receiver) -> None:
    async with engine_on(database_url) as engine:
        reaction = await engine.reactions.create(name="r", url=receiver.url("/r"), rate_limit="1/h")
        jobs = await trigger_all(engine, 3)
        async with engine.workers():
            await receiver.wait_for(1)
            await engine.reactions.update(reaction.id, rate_limit="10/s")
            await wait_for_all(engine, jobs)


async def test_an_ordered_reaction_delivers_one_at_a_time_in_order_by_any_worker(
    database_url: str, receiver: Receiver
) -> None:
    receiver.endpoint("/ordered", Respond(delay=0.01))
    async with engine_on(database_url) as first, engine_on(database_url) as second:
        await first.reactions.create(name="o", url=receiver.url("/ordered"), ordered=True)
        jobs = await trigger_all(first, 30)
        async with first.workers(), second.workers():
            await wait_for_all(first, jobs)
        assert [int(request.body) for request in receiver.received] == list(range(30))
        arrivals = [request.received_at for request in receiver.received]
        assert all(later - earlier >= 0.009 for earlier, later in pairwise(arrivals))
        assert await slots(first) == 0


@pytest.mark.parametrize("notifications", [True, False])
async def test_a_failing_job_of_an_ordered_reaction_blocks_later_jobs(
    database_url: str, receiver: Receiver, *, notifications: bool
) -> None:
    receiver.endpoint("/ordered", FailFirst(2))
    async with engine_on(database_url, notifications=notifications) as engine:
        await engine.reactions.create(
            name="o", url=receiver.url("/ordered"), ordered=True, retry=QUICK_RETRIES
        )
        jobs = await trigger_all(engine, 5)
        async with engine.workers():
            done = await wait_for_all(engine, jobs)
        bodies = [int(request.body) for request in receiver.received]
        assert bodies == sorted(bodies), "nothing overtook a job that was to be tried again"
        assert [job.attempt for job in done] == [3] * 5


async def test_an_ordered_reaction_continues_when_a_job_has_failed_for_good(
    database_url: str, receiver: Receiver
) -> None:
    receiver.endpoint("/ordered", Respond(400))
    async with engine_on(database_url) as engine:
        await engine.reactions.create(name="o", url=receiver.url("/ordered"), ordered=True)
        jobs = await trigger_all(engine, 5)
        async with engine.workers():
            done = await wait_for_all(engine, jobs)
        assert {job.status for job in done} == {JobStatus.FAILED}
        assert [int(request.body) for request in receiver.received] == list(range(5))


async def test_a_job_delayed_on_purpose_does_not_hold_up_an_ordered_reaction(
    database_url: str, receiver: Receiver
) -> None:
    async with engine_on(database_url) as engine:
        await engine.reactions.create(name="o", url=receiver.url("/o"), ordered=True)
        await engine.trigger("x", "later", delay=60, priority=1)
        trigger = await engine.trigger("x", "now")
        async with engine.workers():
            await wait_for_all(engine, trigger.jobs)
        assert [request.body for request in receiver.received] == [b'"now"']


async def test_killed_workers_neither_leak_slots_nor_break_the_order(database_url: str) -> None:
    settings = {
        "WORKER_HEARTBEAT_INTERVAL": 0.3,
        "WORKER_DEAD_AFTER": 3.0,
        "WORKER_POLL_MAX": 0.2,
        "WORKER_MAX_STALLS": 100,
    }
    async with Receiver(default=Respond(delay=0.02)) as receiver, engine_on(database_url) as engine:
        await engine.reactions.create(name="o", url=receiver.url("/ordered"), ordered=True)
        await engine.reactions.create(name="c", url=receiver.url("/capped"), concurrency=2)
        jobs = await trigger_all(engine, 60)
        workers = [WorkerProcess(database_url, **settings) for _ in range(2)]
        try:
            for kill in range(3):
                workers.append(WorkerProcess(database_url, **settings))
                await workers[0].ready()
                await receiver.wait_for((kill + 1) * 20, timeout=60)
                workers.pop(0).kill()
            done = await wait_for_all(engine, jobs)
        finally:
            for worker in workers:
                worker.kill()
        assert {job.status for job in done} == {JobStatus.SUCCEEDED}
        bodies = [int(each.body) for each in receiver.received if each.path == "/ordered"]
        assert bodies == sorted(bodies), "a job that was lost is repeated before any other begins"
        assert await slots(engine) == 0


async def test_a_worker_takes_over_the_place_of_one_that_stops(
    database_url: str, receiver: Receiver
) -> None:
    receiver.endpoint("/hang", Hang())
    stopping = {"shutdown_timeout": 0}
    async with (
        engine_on(database_url, worker=stopping) as first,
        engine_on(database_url, worker=stopping) as second,
        AsyncExitStack() as others,
    ):
        await first.reactions.create(name="r", url=receiver.url("/hang"), concurrency=1)
        await trigger_all(first, 3)
        async with first.workers():
            await receiver.wait_for(1)
            await others.enter_async_context(second.workers())
        await receiver.wait_for(2)


@pytest.mark.parametrize(
    "options",
    [
        {"ordered": True, "concurrency": 2},
        {"ordered": "yes"},
        {"rate_limit": "soon"},
        {"rate_limit": {"limit": 0}},
    ],
)
async def test_limits_that_make_no_sense_are_refused_by_name(
    database_url: str, options: dict[str, Any]
) -> None:
    async with engine_on(database_url) as engine:
        with pytest.raises(InvalidReaction, match=next(iter(options))):
            await engine.reactions.create(name="r", url="http://127.0.0.1:9/", **options)
        assert (await engine.reactions.list()).items == ()


@pytest.mark.parametrize("options", [{"ordered": True}, {"rate_limit": "1/s"}])
async def test_a_direct_job_has_no_limits_of_a_reaction(
    database_url: str, options: dict[str, Any]
) -> None:
    async with engine_on(database_url) as engine:
        with pytest.raises(InvalidInput, match="for reactions"):
            await engine.jobs.create(url="http://127.0.0.1:9/", **options)

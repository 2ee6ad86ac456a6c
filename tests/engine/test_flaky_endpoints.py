"""Endpoints that fail each new message at first have not failed; dead ones get few calls."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from delivery import CircuitState, JobStatus, Reaction, ReactionHealth, TriggerRequest
from delivery.testing import Drop, FailFirst, Receiver, Respond
from tests.support.conditions import until
from tests.support.engines import engine_on, wait_for_all
from tests.support.raw_servers import until as turns_until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from uuid import UUID

    from delivery import Engine

pytestmark = pytest.mark.anyio


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with Receiver() as running:
        yield running


async def trigger_all(engine: Engine, count: int) -> list[UUID]:
    triggers = await engine.trigger_many([TriggerRequest("x", n) for n in range(count)])
    return [job for trigger in triggers for job in trigger.jobs]


async def struggling(engine: Engine, receiver: Receiver) -> Reaction:
    return await engine.reactions.create(
        name="struggling",
        event_types=["x"],
        url=receiver.url("/x"),
        retry={"strategy": "constant", "base": 0.1, "jitter": 0, "max_attempts": 100},
    )


async def until_open(engine: Engine, reaction: Reaction) -> None:
    async def is_open() -> bool:
        return (await engine.reactions.get(reaction.id)).health.circuit is CircuitState.OPEN

    await until(is_open)


async def until_well(engine: Engine, reaction: Reaction) -> None:
    async def is_well() -> bool:
        return (await engine.reactions.get(reaction.id)).health == ReactionHealth()

    await until(is_well)


@pytest.mark.parametrize("failure", [Respond(500), Respond(503), Drop()], ids=repr)
async def test_an_endpoint_that_fails_each_new_message_once_has_not_failed(
    database_url: str, receiver: Receiver, failure: Respond | Drop
) -> None:
    """Under the default settings, and within a few seconds of a retry delay of one second."""
    receiver.endpoint("/x", FailFirst(1, failure))
    async with engine_on(database_url) as engine:
        await engine.reactions.create(
            name="flaky", event_types=["x"], url=receiver.url("/x"), retry={"base": 1.0}
        )
        jobs = await trigger_all(engine, 200)
        began = time.monotonic()
        async with engine.workers():
            done = await wait_for_all(engine, jobs)
        assert time.monotonic() - began < 50
        assert {job.status for job in done} == {JobStatus.SUCCEEDED}
        assert (await engine.triggers.list(type="reaction.failing")).items == ()
    assert receiver.count("/x") == 400


async def test_an_endpoint_that_fails_each_message_twice_has_not_failed(
    database_url: str, receiver: Receiver
) -> None:
    receiver.endpoint("/x", FailFirst(2, Respond(500)))
    health = {"open_failures": 1, "open_after": 0, "probe_after": 600, "probe_max": 600}
    async with engine_on(database_url, health=health) as engine:
        reaction = await struggling(engine, receiver)
        async with engine.workers():
            done = await wait_for_all(engine, await trigger_all(engine, 50))
            await until_well(engine, reaction)
        assert {(job.status, job.attempt) for job in done} == {(JobStatus.SUCCEEDED, 3)}


@pytest.mark.parametrize("failure", [Respond(500), Drop()], ids=repr)
async def test_an_endpoint_that_is_down_gets_few_calls(
    database_url: str, receiver: Receiver, failure: Respond | Drop
) -> None:
    """No job is called more than a few times, and then probes are made one at a time."""
    receiver.endpoint("/x", failure)
    health = {"open_failures": 3, "open_after": 0.2, "probe_after": 1, "probe_max": 600}
    async with engine_on(database_url, health=health) as engine:
        reaction = await struggling(engine, receiver)
        jobs = await trigger_all(engine, 50)
        async with engine.workers() as worker:
            await until_open(engine, reaction)
            # Calls that began before are on their way.
            await turns_until(lambda: not list(worker._executor.jobs()))
            opened = receiver.count("/x")
            await receiver.wait_for(opened + 2, path="/x", timeout=60)
        attempts = [(await engine.jobs.get(job)).attempt for job in jobs]
        assert sum(attempts) == receiver.count("/x") <= opened + 3, "one call for each opening"
        assert opened <= 50 * 12


async def test_a_job_that_failed_before_finds_out_whether_the_endpoint_works_again(
    database_url: str, receiver: Receiver
) -> None:
    """An endpoint that fails each new message would fail each probe by a new one."""
    receiver.endpoint("/x", Respond(500))
    health = {"open_failures": 3, "open_after": 0, "probe_after": 0.3, "probe_max": 600}
    async with engine_on(database_url, health=health) as engine:
        reaction = await struggling(engine, receiver)
        tried = await trigger_all(engine, 5)
        async with engine.workers():
            await until_open(engine, reaction)
        new = await trigger_all(engine, 20)
        # Older in the queue than the jobs that were tried before.
        await engine._pool.execute(
            "UPDATE delivery.waiting_jobs SET run_at = run_at - interval '1 hour' WHERE claim = 1"
        )
        receiver.endpoint("/x", FailFirst(1, Respond(500)))
        seen = {each.webhook_id for each in receiver.received if each.path == "/x"}
        before = receiver.count("/x")
        async with engine.workers():
            await receiver.wait_for(before + 1, path="/x", timeout=60)
            probe = [each for each in receiver.received if each.path == "/x"][before]
            assert probe.webhook_id in seen
            await wait_for_all(engine, [*tried, *new])

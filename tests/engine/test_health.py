"""Health of endpoints: pauses, circuit breaker, disabling."""

from __future__ import annotations

from datetime import datetime
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import orjson
import pytest

from delivery import (
    CircuitState,
    InvalidInput,
    JobStatus,
    NotFound,
    Reaction,
    ReactionHealth,
    ReactionState,
    TriggerRequest,
)
from delivery.testing import FailFirst, Receiver, Respond, Sequence
from tests.support.conditions import until
from tests.support.engines import QUICK_RETRIES, engine_on, wait_for_all
from tests.support.raw_servers import until as turns_until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from uuid import UUID

    from delivery import Engine
    from delivery.engine.worker import Worker

pytestmark = pytest.mark.anyio

OPENS = {"open_failures": 3, "open_after": 0, "probe_after": 600, "probe_max": 600}
PROBES = {**OPENS, "probe_after": 0.2, "probe_max": 0.4}
LATER = {"strategy": "constant", "base": 0.1, "jitter": 0, "max_attempts": 100}


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with Receiver(default=Respond()) as running:
        yield running


async def trigger_all(engine: Engine, count: int) -> list[UUID]:
    triggers = await engine.trigger_many([TriggerRequest("x", n) for n in range(count)])
    return [job for trigger in triggers for job in trigger.jobs]


async def struggling(engine: Engine, receiver: Receiver, **options: Any) -> Reaction:
    return await engine.reactions.create(
        name="struggling", event_types=["x"], url=receiver.url("/x"), retry=LATER, **options
    )


async def listening(engine: Engine, receiver: Receiver, *types: str) -> None:
    await engine.reactions.create(
        name="listening", event_types=types, url=receiver.url("/told"), retry=QUICK_RETRIES
    )


async def told(receiver: Receiver, count: int = 1) -> list[Any]:
    await receiver.wait_for(count, path="/told", timeout=60)
    return [orjson.loads(each.body) for each in receiver.received if each.path == "/told"]


async def circuit_of(engine: Engine, reaction: Reaction) -> CircuitState:
    return (await engine.reactions.get(reaction.id)).health.circuit


async def until_open(engine: Engine, reaction: Reaction) -> None:
    async def is_open() -> bool:
        return await circuit_of(engine, reaction) is CircuitState.OPEN

    await until(is_open)


async def until_well(engine: Engine, reaction: Reaction) -> None:
    async def is_well() -> bool:
        health = (await engine.reactions.get(reaction.id)).health
        return health == ReactionHealth() and await limits(engine) == 0

    await until(is_well)


async def settled_count(worker: Worker, receiver: Receiver) -> int:
    """Return the number of requests, once no call is on its way that began before the circuit."""
    await turns_until(lambda: not list(worker._executor.jobs()))
    return receiver.count("/x")


async def limits(engine: Engine) -> Any:
    return await engine._pool.fetchval("SELECT count(*) FROM delivery.lane_limits")


async def test_an_open_circuit_stops_all_workers_and_uses_up_no_attempts(
    database_url: str, receiver: Receiver
) -> None:
    receiver.endpoint("/x", Respond(500))
    async with (
        engine_on(database_url, health=OPENS) as first,
        engine_on(database_url, health=OPENS) as second,
    ):
        reaction = await struggling(first, receiver)
        await listening(first, receiver, "reaction.failing")
        jobs = await trigger_all(first, 20)
        async with first.workers():
            await until_open(first, reaction)
            (failing,) = await told(receiver)
        called = receiver.count("/x")
        assert failing["reaction_id"] == str(reaction.id)
        assert failing["reaction_name"] == "struggling"
        assert failing["type"] == "reaction.failing"
        assert datetime.fromisoformat(failing["failing_since"]).tzinfo is not None
        assert failing["failures"] >= 3
        assert called <= 100, "each job was tried a few times, not a hundred"
        # The health is shared with new workers, and survives a restart.
        more = await trigger_all(second, 5)
        await second.reactions.create(name="ok", event_types=["y"], url=receiver.url("/y"))
        async with second.workers():
            other = await second.trigger("y", 1)
            await wait_for_all(second, other.jobs)
        assert receiver.count("/x") == called
        assert {(await second.jobs.get(job)).attempt for job in more} == {0}
        assert sum([(await second.jobs.get(job)).attempt for job in jobs]) == called
        health = (await second.reactions.get(reaction.id)).health
        assert health.failures >= 3
        assert health.failing_since is not None
        assert health.paused_until is not None


async def test_a_half_open_circuit_lets_one_call_at_a_time_try_and_closes_when_one_succeeds(
    database_url: str, receiver: Receiver
) -> None:
    receiver.endpoint("/x", Respond(500, delay=0.05))
    async with engine_on(database_url, health=PROBES) as engine:
        reaction = await struggling(engine, receiver)
        await listening(engine, receiver, "reaction.*")
        jobs = await trigger_all(engine, 30)
        async with engine.workers() as worker:
            await until_open(engine, reaction)
            before = await settled_count(worker, receiver)
            await receiver.wait_for(before + 4, path="/x", timeout=60)
            receiver.endpoint("/x", Respond())
            done = await wait_for_all(engine, jobs, timeout=60)
            events = await told(receiver, 2)
            await until_well(engine, reaction)
        assert {job.status for job in done} == {JobStatus.SUCCEEDED}
        assert [event["failures"] > 0 for event in events] == [True, False]
        calls = [each.received_at for each in receiver.received if each.path == "/x"]
        probes = calls[before : before + 4]
        assert all(later - one > 0.05 for one, later in pairwise(probes)), "never two at a time"


async def test_an_endpoint_that_asks_for_less_pauses_the_whole_reaction(
    database_url: str, receiver: Receiver
) -> None:
    busy = Respond(429, (("Retry-After", "1"),))
    receiver.endpoint("/x", Sequence((*[busy] * 10, Respond())))
    async with engine_on(database_url) as engine:
        reaction = await struggling(engine, receiver)
        jobs = await trigger_all(engine, 40)
        async with engine.workers():
            await wait_for_all(engine, jobs, timeout=60)
            await until_well(engine, reaction)
        calls = [each.received_at for each in receiver.received]
        # The first window of calls was under way when the first response came.
        pause = max(later - one for one, later in pairwise(calls))
        assert pause > 0.8
        assert len([each for each in calls if each - calls[0] < 0.8]) <= 20


async def test_a_reaction_whose_calls_fail_for_long_is_disabled_and_announced(
    database_url: str, receiver: Receiver
) -> None:
    receiver.endpoint("/x", Respond(500))
    health = {**PROBES, "disable_after": 0.5, "disable_failures": 5}
    async with engine_on(database_url, health=health) as engine:
        reaction = await struggling(engine, receiver)
        await listening(engine, receiver, "reaction.disabled")
        jobs = await trigger_all(engine, 20)
        async with engine.workers():
            (event,) = await told(receiver)
            done = await wait_for_all(engine, jobs)
        disabled = await engine.reactions.get(reaction.id)
        assert disabled.state is ReactionState.DISABLED
        assert "calls in a row have failed" in str(disabled.state_reason)
        assert event["reason"] == disabled.state_reason
        assert {job.status for job in done} == {JobStatus.SKIPPED}
        assert await limits(engine) == 0
        receiver.endpoint("/x", Respond())
        enabled = await engine.reactions.enable(reaction.id)
        assert enabled.state is ReactionState.ENABLED
        assert enabled.state_reason is None
        assert enabled.health == ReactionHealth()
        async with engine.workers():
            (job,) = await wait_for_all(engine, await trigger_all(engine, 1))
        assert job.status is JobStatus.SUCCEEDED


async def test_a_reaction_whose_endpoint_is_gone_is_announced(
    database_url: str, receiver: Receiver
) -> None:
    receiver.endpoint("/x", Respond(410))
    async with engine_on(database_url) as engine:
        reaction = await struggling(engine, receiver)
        await listening(engine, receiver, "reaction.disabled")
        async with engine.workers():
            await trigger_all(engine, 1)
            (event,) = await told(receiver)
        assert event["reaction_id"] == str(reaction.id)
        assert "410" in event["reason"]


async def test_an_exhausted_job_is_announced_once_and_only_to_subscribers_by_name(
    database_url: str, receiver: Receiver
) -> None:
    receiver.endpoint("/x", Respond(500))
    receiver.endpoint("/told", Respond(500))
    async with engine_on(database_url) as engine:
        failing = await engine.reactions.create(
            name="failing", event_types=["x"], url=receiver.url("/x"), retry=QUICK_RETRIES
        )
        await listening(engine, receiver, "job.exhausted")
        await engine.reactions.create(name="all", event_types=["*"], url=receiver.url("/all"))
        async with engine.workers():
            (job, _) = await trigger_all(engine, 1)
            events = await told(receiver, 4)
            (about,) = (await engine.triggers.list(type="job.exhausted")).items
            about = await engine.triggers.get(about.id)
            await wait_for_all(engine, about.jobs)
        told_of = events[0]
        assert told_of["job_id"] == str(job)
        assert told_of["reaction_id"] == str(failing.id)
        assert told_of["reaction_name"] == "failing"
        assert told_of["trigger_type"] == "x"
        assert told_of["attempts"] == 4
        assert told_of["status_code"] == 500
        assert len(about.jobs) == 1
        assert receiver.count("/all") == 1, "the reaction for * got what happened, not the news"
        # The job of the announcement is exhausted too, which is not announced.
        assert len((await engine.triggers.list(type="job.exhausted")).items) == 1


async def test_a_reset_lets_calls_continue(database_url: str, receiver: Receiver) -> None:
    receiver.endpoint("/x", Respond(500))
    async with engine_on(database_url, health=OPENS) as engine:
        reaction = await struggling(engine, receiver, concurrency=5)
        jobs = await trigger_all(engine, 8)
        async with engine.workers():
            await until_open(engine, reaction)
        receiver.endpoint("/x", Respond())
        assert (await engine.reactions.reset(reaction.id)).health == ReactionHealth()
        async with engine.workers():
            done = await wait_for_all(engine, jobs)
        assert {job.status for job in done} == {JobStatus.SUCCEEDED}
        assert await limits(engine) == 1, "its own limit is still there"
        with pytest.raises(NotFound):
            await engine.reactions.reset(reaction.id, tenant_id="other")


async def test_a_change_of_the_reaction_closes_its_circuit(
    database_url: str, receiver: Receiver
) -> None:
    receiver.endpoint("/x", Respond(500))
    async with engine_on(database_url, health=OPENS) as engine:
        reaction = await struggling(engine, receiver, live=True)
        jobs = await trigger_all(engine, 8)
        async with engine.workers():
            await until_open(engine, reaction)
            changed = await engine.reactions.update(reaction.id, url=receiver.url("/elsewhere"))
            assert changed.health == ReactionHealth()
            done = await wait_for_all(engine, jobs)
        assert {job.status for job in done} == {JobStatus.SUCCEEDED}
        assert receiver.count("/elsewhere") == 8


async def test_calls_to_where_a_reaction_no_longer_leads_do_not_open_its_circuit(
    database_url: str, receiver: Receiver
) -> None:
    """Jobs made before a change run as they were made; those after it are not held up by them."""
    receiver.endpoint("/x", Respond(500))
    async with engine_on(database_url, health=OPENS) as engine:
        reaction = await struggling(engine, receiver)
        before = await trigger_all(engine, 8)
        await engine.reactions.update(reaction.id, url=receiver.url("/mended"), name="moved")
        async with engine.workers():
            await receiver.wait_for(24, path="/x", timeout=60)
            after = await trigger_all(engine, 8)
            done = await wait_for_all(engine, after)
            assert await circuit_of(engine, reaction) is CircuitState.CLOSED
        assert {job.status for job in done} == {JobStatus.SUCCEEDED}
        assert JobStatus.SUCCEEDED not in {(await engine.jobs.get(job)).status for job in before}


async def test_calls_by_a_version_that_calls_the_same_do_open_the_circuit(
    database_url: str, receiver: Receiver
) -> None:
    receiver.endpoint("/x", Respond(500))
    async with engine_on(database_url, health=OPENS) as engine:
        reaction = await struggling(engine, receiver)
        await trigger_all(engine, 8)
        await engine.reactions.update(reaction.id, name="renamed", concurrency=5)
        async with engine.workers():
            await until_open(engine, reaction)


async def test_a_reaction_is_disabled_by_hand_with_a_reason(
    database_url: str, receiver: Receiver
) -> None:
    async with engine_on(database_url) as engine:
        reaction = await struggling(engine, receiver)
        disabled = await engine.reactions.disable(reaction.id, reason="moving house")
        assert (disabled.state, disabled.state_reason) == (ReactionState.DISABLED, "moving house")
        assert (await engine.triggers.list()).items == (), "nobody is told what they did themselves"


async def test_a_single_failure_leaves_no_trace_once_a_call_succeeds(
    database_url: str, receiver: Receiver
) -> None:
    receiver.endpoint("/x", FailFirst(1, Respond(500)))
    async with engine_on(database_url) as engine:
        reaction = await struggling(engine, receiver)
        async with engine.workers():
            await wait_for_all(engine, await trigger_all(engine, 5))
            await until_well(engine, reaction)


async def test_jobs_of_a_live_reaction_run_with_it_as_it_is_then(
    database_url: str, receiver: Receiver
) -> None:
    async with engine_on(database_url) as engine:
        live = await engine.reactions.create(
            name="live", event_types=["x"], url=receiver.url("/old"), live=True
        )
        kept = await engine.reactions.create(
            name="kept", event_types=["x"], url=receiver.url("/kept")
        )
        jobs = await trigger_all(engine, 1)
        await engine.reactions.update(live.id, url=receiver.url("/new"))
        await engine.reactions.update(kept.id, url=receiver.url("/other"))
        async with engine.workers():
            await wait_for_all(engine, jobs)
        assert sorted(each.path for each in receiver.received) == ["/kept", "/new"]


@pytest.mark.parametrize("told", ["reaction.failing", "reaction.disabled", "job.exhausted"])
async def test_event_types_of_the_engine_are_reserved(database_url: str, told: str) -> None:
    async with engine_on(database_url) as engine:
        with pytest.raises(InvalidInput, match="reserved for the engine"):
            await engine.trigger(told, {})

"""Jobs and triggers are found by the `webhook-id` that a receiver quotes."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

import pytest

from delivery.errors import InvalidInput, NotFound
from delivery.testing import Receiver, Respond
from tests.support.engines import engine_on

if TYPE_CHECKING:
    from delivery import Engine, Job

pytestmark = pytest.mark.anyio

UNKNOWN = f"msg_{UUID(int=7).hex}"


async def delivered(engine: Engine, receiver: Receiver) -> Job:
    """Deliver one trigger."""
    await engine.reactions.create(name="r", url=receiver.url("/ok"))
    trigger = await engine.trigger("order.paid", {"n": 1})
    async with engine.workers():
        return await engine.jobs.wait(trigger.jobs[0], timeout=10)


async def redelivered(engine: Engine, job: Job) -> UUID:
    """Write a job that redelivers the message of another."""
    copy = UUID(int=job.id.int + 1)
    await engine._pool.execute(
        "INSERT INTO delivery.jobs (id, message_id, redelivery_of, tenant_id, trigger_id,"
        " reaction_id, reaction_version, priority, max_attempts, run_at)"
        " SELECT $1, message_id, id, tenant_id, trigger_id, reaction_id, reaction_version,"
        " priority, max_attempts, run_at FROM delivery.jobs WHERE id = $2",
        copy,
        job.id,
    )
    return copy


async def test_the_stored_message_id_is_sent_and_finds_job_and_trigger(database_url: str) -> None:
    async with Receiver(default=Respond()) as receiver, engine_on(database_url) as engine:
        job = await delivered(engine, receiver)
        assert receiver.counts["/ok", job.message_id] == 1
        assert (await engine.jobs.get(job.message_id)).id == job.id
        assert (await engine.jobs.wait(job.message_id, timeout=1)).id == job.id
        assert (await engine.triggers.get(job.message_id)).id == job.trigger_id
        assert await engine.ids.find("job", job.message_id) == job.id
        assert await engine.ids.find("trigger", job.message_id) == job.trigger_id
        assert [each.id for each in (await engine.jobs.list(message_id=job.message_id)).items] == [
            job.id
        ]


async def test_a_message_id_is_sent_as_stored_not_as_derived_from_the_job(
    database_url: str,
) -> None:
    async with Receiver(default=Respond()) as receiver, engine_on(database_url) as engine:
        await engine.reactions.create(name="r", url=receiver.url("/ok"))
        trigger = await engine.trigger("order.paid", {"n": 1})
        await engine._pool.execute("UPDATE delivery.jobs SET message_id = $1", UUID(int=5))
        async with engine.workers():
            job = await engine.jobs.wait(trigger.jobs[0], timeout=10)
        assert job.message_id == f"msg_{UUID(int=5).hex}"
        assert receiver.counts["/ok", job.message_id] == 1
        assert (await engine.jobs.get(job.message_id)).id == job.id


async def test_redeliveries_of_a_message_are_found_with_its_first_job(database_url: str) -> None:
    async with Receiver(default=Respond()) as receiver, engine_on(database_url) as engine:
        job = await delivered(engine, receiver)
        copy = await redelivered(engine, job)
        ids = [each.id for each in (await engine.jobs.list(message_id=job.message_id)).items]
        assert ids == [copy, job.id]
        first = await engine.jobs.list(message_id=job.message_id, oldest_first=True, limit=1)
        assert [each.id for each in first.items] == [job.id]
        rest = await engine.jobs.list(
            message_id=job.message_id, oldest_first=True, cursor=first.next_cursor
        )
        assert [each.id for each in rest.items] == [copy]
        queued = await engine.jobs.list(message_id=job.message_id, status="queued")
        assert [each.id for each in queued.items] == [copy]
        assert (await engine.jobs.get(job.message_id)).id == copy


async def test_a_direct_job_has_a_message_and_no_trigger(database_url: str) -> None:
    async with Receiver(default=Respond()) as receiver, engine_on(database_url) as engine:
        job = await engine.jobs.create(url=receiver.url("/ok"))
        assert job.message_id == f"msg_{job.id.hex}"
        assert (await engine.jobs.get(job.message_id)).id == job.id
        with pytest.raises(NotFound, match="without a trigger"):
            await engine.triggers.get(job.message_id)


async def test_messages_of_other_tenants_and_unknown_messages_are_not_found(
    database_url: str,
) -> None:
    async with Receiver(default=Respond()) as receiver, engine_on(database_url) as engine:
        job = await delivered(engine, receiver)
        for message_id, tenant_id in ((job.message_id, "other"), (UNKNOWN, "default")):
            with pytest.raises(NotFound, match="sends message"):
                await engine.jobs.get(message_id, tenant_id=tenant_id)
            with pytest.raises(NotFound, match="sends message"):
                await engine.ids.find("job", message_id, tenant_id=tenant_id)
            page = await engine.jobs.list(message_id=message_id, tenant_id=tenant_id)
            assert not page.items


@pytest.mark.parametrize("value", ["msg_1", "msg_" + "x" * 32, "abc", ""])
async def test_other_strings_are_refused_as_message_ids(database_url: str, value: str) -> None:
    async with engine_on(database_url) as engine:
        with pytest.raises(InvalidInput, match="not a webhook-id"):
            await engine.jobs.list(message_id=value)

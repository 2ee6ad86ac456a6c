"""Results that meet other changes of their jobs, stopping workers, and announcements."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import anyio
import pytest

from delivery import JobStatus, Outcome, ReactionState, TriggerRequest
from delivery.testing import Receiver, Respond
from tests.support.conditions import until
from tests.support.engines import QUICK_RETRIES, all_logs, engine_on, wait_for_all
from tests.support.raw_servers import answering_after, serving
from tests.support.raw_servers import until as turns_until
from tests.support.schema_changes import change_schema
from tests.support.settling import owning, rig

if TYPE_CHECKING:
    from uuid import UUID

    from delivery import Engine

pytestmark = pytest.mark.anyio

THANKS = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nthanks"
BUSY = b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n"


# --- changes of jobs by others


@pytest.mark.parametrize("decision", ["canceled", "suspended", "skipped", "failed"])
async def test_a_state_set_during_a_call_remains_and_the_attempt_is_logged(
    database_url: str, decision: str
) -> None:
    opened = asyncio.Event()
    async with (
        serving(answering_after(opened, THANKS)) as server,
        engine_on(database_url) as engine,
    ):
        await engine.reactions.create(name="r", url=server.url, concurrency=2)
        triggers = await engine.trigger_many([TriggerRequest("x", n) for n in range(2)])
        decided, other = (each.jobs[0] for each in triggers)
        async with engine.workers():
            await turns_until(lambda: len(server.requests) == 2)
            await engine._pool.execute(
                "UPDATE delivery.jobs SET status = $2::text::delivery.job_status,"
                " error = 'decided', finished_at = now() WHERE id = $1",
                decided,
                decision,
            )
            opened.set()
            await wait_for_all(engine, [other])
            await until(lambda: _no_leases(engine))
        job = await engine.jobs.get(decided)
        assert (job.status, job.error, job.attempt) == (decision, "decided", 1)
        (log,) = await all_logs(engine, job_id=decided)
        assert log.outcome is Outcome.SUCCEEDED
        assert log.response is not None
        assert log.response.body == b"thanks"
        for table in ("waiting_jobs", "held_slots"):
            assert await engine._pool.fetchval(f"SELECT count(*) FROM delivery.{table}") == 0


async def test_a_call_is_not_retried_if_its_job_was_canceled(
    database_url: str,
) -> None:
    opened = asyncio.Event()
    async with serving(answering_after(opened, BUSY)) as server, engine_on(database_url) as engine:
        await engine.reactions.create(name="r", url=server.url, retry=QUICK_RETRIES)
        (job_id,) = (await engine.trigger("x", 1)).jobs
        async with engine.workers():
            await turns_until(lambda: server.requests)
            await engine._pool.execute(
                "UPDATE delivery.jobs SET status = 'canceled' WHERE id = $1", job_id
            )
            opened.set()
            await until(lambda: _no_leases(engine))
        assert (await engine.jobs.get(job_id)).status is JobStatus.CANCELED
        (log,) = await all_logs(engine)
        assert log.outcome is Outcome.FAILED
        assert await engine._pool.fetchval("SELECT count(*) FROM delivery.waiting_jobs") == 0
        assert len(server.requests) == 1


async def test_a_result_of_a_deleted_job_is_logged_as_late(database_url: str) -> None:
    async with rig(database_url) as (bench, running):
        results = await running.claimed(2)
        await bench.pool.execute("DELETE FROM delivery.jobs WHERE id = $1", results[0].job_id)
        running.add(*results)
        with anyio.fail_after(60):
            await running.settler.drained()
        assert (await running.log_of(results[0].job_id))["outcome"] == "late"
        assert (await running.log_of(results[1].job_id))["outcome"] == "succeeded"
        assert await bench.pool.fetchval("SELECT count(*) FROM delivery.leases") == 0


async def _no_leases(engine: Engine) -> bool:
    return bool(await engine._pool.fetchval("SELECT count(*) = 0 FROM delivery.leases"))


# --- stopping


async def test_parked_results_are_tried_again_when_the_worker_stops(
    database_url: str, role_url: str
) -> None:
    opened = asyncio.Event()
    async with (
        owning(database_url) as owner,
        serving(answering_after(opened)) as server,
        engine_on(role_url) as engine,
    ):
        role = await engine._pool.fetchval("SELECT current_user")
        await engine.reactions.create(name="r", url=server.url)
        trigger = await engine.trigger("x", 1)
        async with engine.workers() as worker:
            await turns_until(lambda: server.requests)
            await owner.execute(f"REVOKE INSERT ON delivery.delivery_logs FROM {role}")
            opened.set()
            await until(lambda: _is_parked(worker))
            asyncio.get_running_loop().call_later(
                0.3,
                lambda: asyncio.ensure_future(
                    owner.execute(f"GRANT INSERT ON delivery.delivery_logs TO {role}")
                ),
            )
        job = await engine.jobs.get(trigger.jobs[0])
        assert job.status is JobStatus.SUCCEEDED


async def _is_parked(worker: object) -> bool:
    return len(worker._settler._parked) == 1  # type: ignore[attr-defined]


# --- announcements

_REFUSE_OWN = (
    "ALTER TABLE delivery.triggers ADD CONSTRAINT no_own CHECK (type NOT LIKE '%.exhausted'"
    " AND type NOT LIKE '%.disabled')"
)


async def test_a_job_that_cannot_be_announced_is_settled_and_announced_later(
    database_url: str,
) -> None:
    async with (
        Receiver(default=Respond(500)) as receiver,
        engine_on(database_url) as engine,
    ):
        await engine._pool.execute(_REFUSE_OWN)
        await engine.reactions.create(
            name="r", url=receiver.url("/r"), retry={**QUICK_RETRIES, "max_attempts": 1}
        )
        (job_id,) = (await engine.trigger("x", 1)).jobs
        async with engine.workers():
            (job,) = await wait_for_all(engine, [job_id])
            assert job.status is JobStatus.FAILED
            assert job.exhausted
            assert len(await all_logs(engine)) == 1
            await change_schema(
                engine._pool, "ALTER TABLE delivery.triggers DROP CONSTRAINT no_own"
            )
            await until(lambda: _told(engine, "job.exhausted"))
        assert (
            await engine._pool.fetchval("SELECT count(*) FROM delivery.pending_announcements") == 0
        )
        assert await engine._pool.fetchval("SELECT count(*) FROM delivery.dead_letters") == 1


async def test_a_reaction_that_cannot_be_announced_is_disabled_and_announced_later(
    database_url: str,
) -> None:
    async with Receiver(default=Respond(410)) as receiver, engine_on(database_url) as engine:
        await engine._pool.execute(_REFUSE_OWN)
        reaction = await engine.reactions.create(name="r", url=receiver.url("/r"))
        trigger = await engine.trigger("x", 1)
        async with engine.workers():
            (job,) = await wait_for_all(engine, trigger.jobs)
            assert job.status is JobStatus.FAILED
            state = (await engine.reactions.get(reaction.id)).state
            assert state is ReactionState.DISABLED
            await change_schema(
                engine._pool, "ALTER TABLE delivery.triggers DROP CONSTRAINT no_own"
            )
            await until(lambda: _told(engine, "reaction.disabled"))


async def test_a_reaction_that_cannot_be_disabled_does_not_block_others(
    database_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with Receiver(default=Respond(410)) as receiver, engine_on(database_url) as engine:
        good, bad = [
            await engine.reactions.create(name=name, event_types=["x"], url=receiver.url("/r"))
            for name in ("good", "bad")
        ]
        await engine._pool.execute(
            "ALTER TABLE delivery.reactions ADD CONSTRAINT enabled"
            f" CHECK (id <> '{bad.id}' OR state = 'enabled')"
        )
        async with engine.workers() as worker:
            trigger = await engine.trigger("x", 1)
            await wait_for_all(engine, trigger.jobs)
            await until(lambda: _is_disabled(engine, good.id))
            assert not await _is_disabled(engine, bad.id)
            await wait_for_all(engine, (await engine.trigger("x", 2)).jobs)
            refusals = [each for each in caplog.messages if "cannot be disabled" in each]
            assert len(refusals) == 1
            assert str(bad.id) in refusals[0]
            assert "cannot disable" not in caplog.text
            await engine._pool.execute("ALTER TABLE delivery.reactions DROP CONSTRAINT enabled")
            # As if its minute were over.
            worker._disabling._refused[bad.id] = 0.0
            await wait_for_all(engine, (await engine.trigger("x", 3)).jobs)
            await until(lambda: _is_disabled(engine, bad.id))
            assert worker._disabling._refused == {}


async def _is_disabled(engine: Engine, reaction_id: UUID) -> bool:
    return (await engine.reactions.get(reaction_id)).state is ReactionState.DISABLED


async def _told(engine: Engine, type_: str) -> bool:
    return len((await engine.triggers.list(type=type_)).items) == 1

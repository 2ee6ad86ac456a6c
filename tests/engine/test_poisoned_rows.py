"""A row that cannot be processed stops no others, also if it was written by hand."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import pytest

from delivery import InvalidReaction, JobStatus, ReactionState
from delivery.testing import Receiver, Respond
from tests.support.conditions import until
from tests.support.engines import QUICK_RETRIES, engine_on
from tests.support.settling import rig

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from uuid import UUID

    from delivery import Engine, Reaction

pytestmark = pytest.mark.anyio

NUL_IN_QUERY = (
    "UPDATE delivery.reaction_versions SET params ="
    r" replace(params, '\"query\":[]', '\"query\":[[\"a\",\"\u0000\"]]') WHERE reaction_id = $1"
).replace('\\"', '"')


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with Receiver(default=Respond()) as running:
        yield running


async def reaction_of(
    engine: Engine, receiver: Receiver, tenant_id: str, path: str = "/ok", **options: Any
) -> Reaction:
    options.setdefault("event_types", ["x"])
    return await engine.reactions.create(
        name=path, url=receiver.url(path), tenant_id=tenant_id, **options
    )


async def assert_delivers(engine: Engine, tenant_id: str) -> None:
    """Assert that another trigger of the tenant is delivered."""
    trigger = await engine.trigger("x", {"n": 1}, tenant_id=tenant_id)
    job = await engine.jobs.wait(trigger.jobs[0], timeout=60, tenant_id=tenant_id)
    assert job.status is JobStatus.SUCCEEDED


DUE = {
    "-infinity": True,
    "infinity": False,
    "0001-01-01": True,
    "4000-01-01 BC": True,
    "290000-01-01": False,
}
"""Times that no caller may give, and whether a job with such a time is due."""


@pytest.mark.parametrize("limited", [True, False])
async def test_jobs_due_at_any_time_stop_no_others(
    database_url: str, receiver: Receiver, *, limited: bool
) -> None:
    options: dict[str, Any] = {"concurrency": 5} if limited else {}
    async with engine_on(database_url, notifications=False) as engine:
        await reaction_of(engine, receiver, "good", **options)
        jobs = {}
        for run_at in DUE:
            await reaction_of(engine, receiver, run_at, **options)
            (jobs[run_at],) = (await engine.trigger("x", 1, tenant_id=run_at)).jobs
            for table, key in (("waiting_jobs", "job_id"), ("jobs", "id")):
                await engine._pool.execute(
                    f"UPDATE delivery.{table} SET run_at = '{run_at}' WHERE {key} = $1",
                    jobs[run_at],
                )
        async with engine.workers():
            await assert_delivers(engine, "good")
            for run_at, is_due in DUE.items():
                if is_due:
                    done = await engine.jobs.wait(jobs[run_at], timeout=60, tenant_id=run_at)
                    assert done.status is JobStatus.SUCCEEDED
            await assert_delivers(engine, "good")
        for run_at, job_id in jobs.items():
            (shown,) = (await engine.jobs.list(tenant_id=run_at)).items
            assert shown.id == job_id


REACTION_ROWS = {
    "NUL in the query": (NUL_IN_QUERY, True),
    "a call that is not JSON": (
        "UPDATE delivery.reaction_versions SET params = 'x' WHERE reaction_id = $1",
        False,
    ),
    "a call of another shape": (
        "UPDATE delivery.reaction_versions SET params = '[]' WHERE reaction_id = $1",
        False,
    ),
    "a retry policy of texts": (
        (
            "UPDATE delivery.reaction_versions SET params ="
            ' replace(params, \'"base":10.0\', \'"base":"x"\') WHERE reaction_id = $1'
        ),
        False,
    ),
    "negative max_attempts": (
        "UPDATE delivery.reaction_versions SET max_attempts = -5 WHERE reaction_id = $1",
        True,
    ),
    "too many max_attempts": (
        "UPDATE delivery.reaction_versions SET max_attempts = 2000000000 WHERE reaction_id = $1",
        True,
    ),
    "an event type that is NULL": (
        "UPDATE delivery.reactions SET event_types = ARRAY[NULL, 'x', '**', ''] WHERE id = $1",
        True,
    ),
    "event types in two dimensions": (
        "UPDATE delivery.reactions SET event_types = ARRAY[ARRAY['x'], ARRAY['y']] WHERE id = $1",
        None,
    ),
    "a condition that does not compile": (
        "UPDATE delivery.reactions SET condition = '((' WHERE id = $1",
        None,
    ),
    "signing secrets that are not JSON": (
        "UPDATE delivery.reactions SET signing = 'x' WHERE id = $1",
        False,
    ),
    "limits of nothing": (
        (
            "INSERT INTO delivery.lane_limits (lane, rate_limit, rate_period, ordered, next_at)"
            " VALUES ($1, 0, 0, false, 'NaN')"
        ),
        None,
    ),
}


async def test_reactions_that_are_stored_in_any_way_stop_no_others(
    database_url: str, receiver: Receiver
) -> None:
    async with engine_on(database_url) as engine, engine_on(database_url) as worker:
        await reaction_of(engine, receiver, "good")
        bad: dict[str, Reaction] = {}
        for what, (statement, _) in REACTION_ROWS.items():
            bad[what] = await reaction_of(engine, receiver, what, f"/bad/{len(bad)}")
            await reaction_of(engine, receiver, what, f"/same/{len(bad)}")
            await engine._pool.execute(statement, bad[what].id)
        async with worker.workers():
            await assert_delivers(engine, "good")
            for number, (what, (_, delivers)) in enumerate(REACTION_ROWS.items(), start=1):
                trigger = await engine.trigger("x", {"n": 1}, tenant_id=what)
                # The tenant's other reaction matches and is delivered.
                await receiver.wait_for(1, path=f"/same/{number}")
                if delivers is not None:
                    await assert_ends(engine, what, trigger.id, bad[what].id, delivers=delivers)
            await assert_delivers(engine, "good")
        for what, reaction in bad.items():
            # It can be seen, put out of action, and deleted.
            assert len((await engine.reactions.list(tenant_id=what)).items) == 2
            off = await engine.reactions.disable(reaction.id, tenant_id=what)
            assert off.state is ReactionState.DISABLED
            await engine.reactions.delete(reaction.id, tenant_id=what)


async def assert_ends(
    engine: Engine, tenant_id: str, trigger_id: UUID, reaction_id: UUID, *, delivers: bool
) -> None:
    page = await engine.jobs.list(trigger_id=trigger_id, tenant_id=tenant_id)
    (job_id,) = [job.id for job in page.items if job.reaction_id == reaction_id]
    job = await engine.jobs.wait(job_id, timeout=60, tenant_id=tenant_id)
    assert (job.status is JobStatus.SUCCEEDED) is delivers, tenant_id
    assert delivers or "the call cannot be made" in str(job.error)


async def test_a_fault_of_a_stored_reaction_is_logged_once(
    database_url: str, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    async with engine_on(database_url) as engine:
        bad = await reaction_of(engine, receiver, "bad")
        await engine._pool.execute(
            "UPDATE delivery.reaction_versions SET max_attempts = -1 WHERE reaction_id = $1", bad.id
        )
        with caplog.at_level(logging.ERROR):
            for _ in range(3):
                await engine.trigger("x", 1, tenant_id="bad")
                engine._trigger_writer._fan_out._copies.clear()
        errors = [each.getMessage() for each in caplog.records]
        assert len(errors) == 1
        assert str(bad.id) in errors[0]


JOB_ROWS = {
    "negative max_attempts": "UPDATE delivery.jobs SET max_attempts = -1 WHERE tenant_id = $1",
    "a payload that is not JSON": (
        r"UPDATE delivery.triggers SET payload = '\xff00' WHERE tenant_id = $1"
    ),
    "a payload encrypted by nobody": (
        "UPDATE delivery.triggers SET payload = 'encrypted:1:zz:zz' WHERE tenant_id = $1"
    ),
    "made at an infinite time": (
        "UPDATE delivery.jobs SET created_at = 'infinity' WHERE tenant_id = $1"
    ),
    "an infinite deadline": "UPDATE delivery.jobs SET deadline = '-infinity' WHERE tenant_id = $1",
    "no job behind a queue row": "DELETE FROM delivery.jobs WHERE tenant_id = $1",
    "two queue rows": (
        "INSERT INTO delivery.waiting_jobs (lane, priority, run_at, job_id, claim)"
        " SELECT lane, waiting_jobs.priority, waiting_jobs.run_at - interval '1 s', job_id, claim"
        " FROM delivery.waiting_jobs JOIN delivery.jobs ON jobs.id = job_id WHERE tenant_id = $1"
    ),
    "no trigger": "DELETE FROM delivery.triggers WHERE tenant_id = $1",
}


@pytest.mark.parametrize("limited", [True, False])
async def test_jobs_that_are_stored_in_any_way_stop_no_others(
    database_url: str, receiver: Receiver, *, limited: bool
) -> None:
    options: dict[str, Any] = {"retry": QUICK_RETRIES, "body": {"kind": "envelope"}}
    if limited:
        options["concurrency"] = 2
    async with engine_on(database_url) as engine:
        await reaction_of(engine, receiver, "good", **options)
        for what, statement in JOB_ROWS.items():
            await reaction_of(engine, receiver, what, **options)
            for _ in range(3):
                await engine.trigger("x", 1, tenant_id=what)
            await engine._pool.execute(statement, what)

        async def is_free() -> bool:
            slots = "SELECT count(*) FROM delivery.held_slots"
            return await engine._pool.fetchval(slots) == 0  # type: ignore[no-any-return]

        async with engine.workers():
            await assert_delivers(engine, "good")
            for what in JOB_ROWS:
                await assert_delivers(engine, what)
            await until(is_free)


async def _failing_for(engine: Engine, table: str, event: str, condition: str) -> None:
    """Make the database refuse certain rows of a table."""
    await engine._pool.execute(
        "CREATE FUNCTION public.refuse() RETURNS trigger LANGUAGE plpgsql AS"
        " $$BEGIN RAISE EXCEPTION 'this row is damaged' USING ERRCODE = 'data_corrupted'; END$$"
    )
    await engine._pool.execute(
        f"CREATE TRIGGER refuse BEFORE {event} ON delivery.{table}"
        f" FOR EACH ROW WHEN ({condition}) EXECUTE FUNCTION public.refuse()"
    )


@pytest.mark.parametrize("limited", [True, False])
async def test_a_lane_that_cannot_be_claimed_from_is_set_aside(
    database_url: str, receiver: Receiver, caplog: pytest.LogCaptureFixture, *, limited: bool
) -> None:
    options: dict[str, Any] = {"concurrency": 3} if limited else {}
    async with engine_on(database_url) as engine:
        bad = await reaction_of(engine, receiver, "bad", **options)
        await reaction_of(engine, receiver, "good", **options)
        await reaction_of(engine, receiver, "also good", **options)
        await _failing_for(engine, "waiting_jobs", "DELETE", f"OLD.lane = '{bad.id}'")
        await engine.trigger("x", 1, tenant_id="bad")
        with caplog.at_level(logging.ERROR):
            async with engine.workers():
                for _ in range(5):
                    await engine.trigger("x", 1, tenant_id="bad")
                    await assert_delivers(engine, "good")
                    await assert_delivers(engine, "also good")
        errors = [each.getMessage() for each in caplog.records]
        assert len(errors) == 1
        assert str(bad.id) in errors[0]
        assert "this row is damaged" in errors[0]


async def test_a_health_that_cannot_be_written_does_not_block_others(
    database_url: str, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    receiver.endpoint("/fails", Respond(500))
    retry = {**QUICK_RETRIES, "max_attempts": 30}
    async with engine_on(database_url) as engine:
        bad = await reaction_of(engine, receiver, "bad", "/fails", retry=retry)
        good = await reaction_of(engine, receiver, "good", "/fails", retry=retry)
        condition = f"NEW.reaction_id = '{bad.id}'"
        await _failing_for(engine, "reaction_health", "INSERT", condition)

        async def is_counted() -> bool:
            return (await engine.reactions.get(good.id, tenant_id="good")).health.failures > 2

        async with engine.workers():
            for _ in range(5):
                await engine.trigger("x", 1, tenant_id="bad")
                await engine.trigger("x", 1, tenant_id="good")
            await until(is_counted)
        errors = [each for each in caplog.records if "the health of" in each.getMessage()]
        assert len(errors) == 1


async def test_nul_in_the_calls_of_one_tenant_does_not_block_the_health_of_others(
    database_url: str, receiver: Receiver
) -> None:
    receiver.endpoint("/fails", Respond(500))
    retry = {**QUICK_RETRIES, "max_attempts": 30}
    async with engine_on(database_url) as engine:
        bad = await reaction_of(engine, receiver, "bad", "/fails", retry=retry)
        good = await reaction_of(engine, receiver, "good", "/fails", retry=retry)

        async def are_counted() -> bool:
            found = [
                await engine.reactions.get(each.id, tenant_id=each.tenant_id)
                for each in (bad, good)
            ]
            return all(each.health.failures > 2 for each in found)

        for tenant_id in ("bad", "good"):
            await engine.trigger("x", 1, tenant_id=tenant_id)
        # The jobs call by the first version, and both versions have a NUL in them.
        for each in (bad, good):
            await engine.reactions.update(each.id, tenant_id=each.tenant_id, name="renamed")
            await engine.reactions.update(
                each.id, tenant_id=each.tenant_id, retry={**retry, "max_attempts": 31}
            )
        await engine._pool.execute(NUL_IN_QUERY, bad.id)
        async with engine.workers():
            await until(are_counted)


async def test_an_announcement_that_cannot_be_written_fails_no_result(
    database_url: str, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    receiver.endpoint("/fails", Respond(500))
    receiver.endpoint("/gone", Respond(410))
    once = {**QUICK_RETRIES, "max_attempts": 1}
    async with engine_on(database_url) as engine:
        for tenant_id in ("bad", "good"):
            await reaction_of(engine, receiver, tenant_id, "/fails", retry=once)
            await reaction_of(engine, receiver, tenant_id, "/gone", event_types=["gone"])
            await reaction_of(engine, receiver, tenant_id, "/told", event_types=["job.exhausted"])
        bad = await engine.trigger("x", 1, tenant_id="bad")
        good = await engine.trigger("x", 1, tenant_id="good")
        gone = await engine.trigger("gone", 1, tenant_id="bad")
        await _failing_for(engine, "triggers", "INSERT", "NEW.tenant_id = 'bad'")
        async with engine.workers():
            failed = [
                await engine.jobs.wait(bad.jobs[0], timeout=60, tenant_id="bad"),
                await engine.jobs.wait(good.jobs[0], timeout=60, tenant_id="good"),
                await engine.jobs.wait(gone.jobs[0], timeout=60, tenant_id="bad"),
            ]
            await receiver.wait_for(1, path="/told")
        assert {job.status for job in failed} == {JobStatus.FAILED}
        errors = [each.getMessage() for each in caplog.records if each.levelno == logging.ERROR]
        assert sum("cannot write an announcement" in each for each in errors) == 1


async def test_an_update_of_a_call_that_cannot_be_read_is_refused_with_advice(
    database_url: str, receiver: Receiver
) -> None:
    async with engine_on(database_url) as engine:
        reaction = await reaction_of(engine, receiver, "default")
        await engine._pool.execute("UPDATE delivery.reaction_versions SET params = 'x'")
        with pytest.raises(InvalidReaction, match="is unreadable; delete it"):
            await engine.reactions.update(reaction.id, timeout=5)


@pytest.mark.parametrize("next_at", ["-infinity", "0001-01-01", "infinity"])
async def test_a_noted_announcement_with_any_time_stops_no_others(
    database_url: str, next_at: str
) -> None:
    async with rig(database_url) as (bench, running):
        reaction = await bench.add_reaction()
        await bench.pool.execute(
            "INSERT INTO delivery.pending_announcements (type, subject, next_at)"
            " VALUES ('reaction.disabled', gen_random_uuid(), $1::text::timestamptz),"
            " ('reaction.disabled', $2, now())",
            next_at,
            reaction,
        )
        running.telling._noted.set()

        async def is_taken() -> bool:
            return not await bench.pool.fetchval(
                "SELECT count(*) FROM delivery.pending_announcements WHERE subject = $1", reaction
            )

        await until(is_taken)

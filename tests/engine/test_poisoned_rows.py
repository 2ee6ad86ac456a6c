"""A row that cannot be processed stops no others, whoever wrote it."""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from delivery import DeliveryError, InvalidInput, JobStatus, ReactionState
from delivery.testing import Answer, Receiver
from tests.support.conditions import until
from tests.support.engines import QUICK_RETRIES, engine_on

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from delivery import Engine, Reaction

pytestmark = pytest.mark.anyio

NUL_IN_QUERY = (
    "UPDATE delivery.reaction_versions SET max_attempts = NULL, params ="
    r" replace(params, '\"query\":[]', '\"query\":[[\"a\",\"\u0000\"]]') WHERE reaction_id = $1"
).replace('\\"', '"')


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with Receiver(default=Answer()) as running:
        yield running


async def reaction_of(
    engine: Engine, receiver: Receiver, tenant_id: str, path: str = "/ok", **options: Any
) -> Reaction:
    options.setdefault("event_types", ["x"])
    return await engine.reactions.create(
        name=path, url=receiver.url(path), tenant_id=tenant_id, **options
    )


async def assert_delivers(engine: Engine, tenant_id: str) -> None:
    """One more trigger of the tenant is delivered."""
    trigger = await engine.trigger("x", {"n": 1}, tenant_id=tenant_id)
    job = await engine.jobs.wait(trigger.jobs[0], timeout=10, tenant_id=tenant_id)
    assert job.status is JobStatus.SUCCEEDED


@pytest.mark.parametrize(
    "run_at", ["-infinity", "infinity", "0001-01-01", "4000-01-01 BC", "290000-01-01"]
)
@pytest.mark.parametrize("limited", [True, False])
async def test_a_job_due_at_any_time_stops_no_others(
    database_url: str, receiver: Receiver, run_at: str, *, limited: bool
) -> None:
    options = {"concurrency": 5} if limited else {}
    async with engine_on(database_url, notifications=False) as engine:
        await reaction_of(engine, receiver, "bad", **options)
        await reaction_of(engine, receiver, "good", **options)
        bad = await engine.trigger("x", 1, tenant_id="bad")
        for table in ("queue", "jobs"):
            await engine._pool.execute(f"UPDATE delivery.{table} SET run_at = '{run_at}'")
        async with engine.workers():
            await assert_delivers(engine, "good")
            if run_at in {"-infinity", "0001-01-01", "4000-01-01 BC"}:
                done = await engine.jobs.wait(bad.jobs[0], timeout=10, tenant_id="bad")
                assert done.status is JobStatus.SUCCEEDED
        assert [job.id for job in (await engine.jobs.list(tenant_id="bad")).items] == [bad.jobs[0]]


REACTION_ROWS = {
    "NUL in the query": (NUL_IN_QUERY, True),
    "a call that is not JSON": (
        "UPDATE delivery.reaction_versions SET params = 'x', max_attempts = NULL"
        " WHERE reaction_id = $1",
        False,
    ),
    "a call of another shape": (
        "UPDATE delivery.reaction_versions SET params = '[]', max_attempts = NULL"
        " WHERE reaction_id = $1",
        False,
    ),
    "a retry policy of texts": (
        "UPDATE delivery.reaction_versions SET params ="
        " replace(params, '\"base\":10.0', '\"base\":\"x\"') WHERE reaction_id = $1",
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
        "INSERT INTO delivery.lane_limits (lane, rate_limit, rate_period, ordered, next_at)"
        " VALUES ($1, 0, 0, false, 'NaN')",
        None,
    ),
}


@pytest.mark.parametrize("what", REACTION_ROWS)
async def test_a_reaction_that_is_stored_in_any_way_stops_no_others(
    database_url: str, receiver: Receiver, what: str
) -> None:
    statement, delivers = REACTION_ROWS[what]
    async with engine_on(database_url) as engine:
        bad = await reaction_of(engine, receiver, "bad", "/bad")
        same_tenant = await reaction_of(engine, receiver, "bad", "/same")
        await reaction_of(engine, receiver, "good")
        await engine._pool.execute(statement, bad.id)
        async with engine_on(database_url) as worker, worker.workers():
            await assert_delivers(engine, "good")
            trigger = await engine.trigger("x", {"n": 1}, tenant_id="bad")
            await receiver.wait_for(1, path="/same")
            await assert_delivers(engine, "good")
            page = await engine.jobs.list(trigger_id=trigger.id, tenant_id="bad")
            jobs = {job.reaction_id: job for job in page.items}
            assert same_tenant.id in jobs
            if delivers is None:
                assert not receiver.count("/bad")
            else:
                job = await engine.jobs.wait(jobs[bad.id].id, timeout=10, tenant_id="bad")
                assert (job.status is JobStatus.SUCCEEDED) is delivers
                assert delivers or "the call cannot be made" in str(job.error)
        # It can be seen, put out of action, and deleted.
        assert len((await engine.reactions.list(tenant_id="bad")).items) == 2
        off = await engine.reactions.disable(bad.id, tenant_id="bad")
        assert off.state is ReactionState.DISABLED
        await engine.reactions.delete(bad.id, tenant_id="bad")


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
                engine.triggers._fan_out._copies.clear()
        errors = [each.getMessage() for each in caplog.records]
        assert len(errors) == 1
        assert str(bad.id) in errors[0]


JOB_ROWS = {
    "negative max_attempts": "UPDATE delivery.jobs SET max_attempts = -1 WHERE tenant_id = 'bad'",
    "a payload that is not JSON": (
        "UPDATE delivery.triggers SET payload = '\\xff00' WHERE tenant_id = 'bad'"
    ),
    "a payload sealed by nobody": (
        "UPDATE delivery.triggers SET payload = 'sealed:1:zz:zz' WHERE tenant_id = 'bad'"
    ),
    "made at an infinite time": (
        "UPDATE delivery.jobs SET created_at = 'infinity' WHERE tenant_id = 'bad'"
    ),
    "an infinite deadline": (
        "UPDATE delivery.jobs SET deadline = '-infinity' WHERE tenant_id = 'bad'"
    ),
    "no job behind a queue row": "DELETE FROM delivery.jobs WHERE tenant_id = 'bad'",
    "two queue rows": (
        "INSERT INTO delivery.queue (lane, priority, run_at, job_id, claim)"
        " SELECT lane, priority, run_at - interval '1 s', job_id, claim FROM delivery.queue"
    ),
    "no trigger": "DELETE FROM delivery.triggers WHERE tenant_id = 'bad'",
}


@pytest.mark.parametrize("what", JOB_ROWS)
@pytest.mark.parametrize("limited", [True, False])
async def test_a_job_that_is_stored_in_any_way_stops_no_others(
    database_url: str, receiver: Receiver, what: str, *, limited: bool
) -> None:
    options: dict[str, Any] = {"retry": QUICK_RETRIES, "body": {"kind": "envelope"}}
    if limited:
        options["concurrency"] = 2
    async with engine_on(database_url) as engine:
        await reaction_of(engine, receiver, "bad", **options)
        await reaction_of(engine, receiver, "good", **options)
        for _ in range(3):
            await engine.trigger("x", 1, tenant_id="bad")
        await engine._pool.execute(JOB_ROWS[what])
        async with engine.workers():
            await assert_delivers(engine, "good")
            await assert_delivers(engine, "bad")

            async def is_free() -> bool:
                slots = "SELECT count(*) FROM delivery.held_slots"
                return await engine._pool.fetchval(slots) == 0  # type: ignore[no-any-return]

            await until(is_free)


async def _failing_for(engine: Engine, table: str, event: str, condition: str) -> None:
    """Let the database refuse certain rows of a table."""
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
        await _failing_for(engine, "queue", "DELETE", f"OLD.lane = '{bad.id}'")
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


async def test_a_health_that_cannot_be_written_keeps_no_others_from_being_counted(
    database_url: str, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    receiver.endpoint("/fails", Answer(500))
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


async def test_nul_in_the_calls_of_one_tenant_keeps_no_health_from_being_counted(
    database_url: str, receiver: Receiver
) -> None:
    receiver.endpoint("/fails", Answer(500))
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
    receiver.endpoint("/fails", Answer(500))
    receiver.endpoint("/gone", Answer(410))
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
                await engine.jobs.wait(bad.jobs[0], timeout=10, tenant_id="bad"),
                await engine.jobs.wait(good.jobs[0], timeout=10, tenant_id="good"),
                await engine.jobs.wait(gone.jobs[0], timeout=10, tenant_id="bad"),
            ]
            await receiver.wait_for(1, path="/told")
        assert {job.status for job in failed} == {JobStatus.FAILED}
        errors = [each.getMessage() for each in caplog.records if each.levelno == logging.ERROR]
        assert sum("job.exhausted cannot be raised in tenant 'bad'" in each for each in errors) == 1


async def test_values_that_cannot_be_stored_are_refused_when_they_are_given(
    database_url: str, receiver: Receiver
) -> None:
    async with engine_on(database_url) as engine:
        reaction = await reaction_of(engine, receiver, "default")
        url = receiver.url("/")
        calls: list[dict[str, Any]] = [
            {"query": {"a": "\0"}},
            {"query": {"\0": "a"}},
            {"query": {"a": "\ud800"}},
            {"headers": {"a": "\0"}},
            {"body": {"kind": "json", "content": {"a": ["b", {"c": "\0"}]}}},
            {"body": {"kind": "json", "content": {"\0": 1}}},
            {"body": {"kind": "form", "content": {"a": "\0"}}},
            {"body": {"kind": "raw", "content": "a\0b"}},
            {"name": "\0"},
            {"name": "\udfff"},
            {"area_id": "\ud800"},
            {"condition": "a == '\0'"},
            {"event_types": ["a\0"]},
            {"event_types": ["a\ud800"]},
        ]
        for call in calls:
            with pytest.raises(InvalidInput):
                await engine.reactions.create(**{"name": "r", "url": url, **call})
            with pytest.raises(InvalidInput):
                await engine.reactions.update(reaction.id, **call)
        soon = datetime.now(UTC)
        times: list[dict[str, Any]] = [
            {"run_at": datetime.min.replace(tzinfo=UTC)},
            {"run_at": datetime.max.replace(tzinfo=UTC)},
            {"run_at": datetime(1969, 12, 31, tzinfo=UTC)},
            {"deadline": datetime.max.replace(tzinfo=UTC)},
            {"deadline": datetime(2201, 1, 1, tzinfo=UTC)},
            {"delay": 1e10},
            {"delay": timedelta.max},
            {"user_id": "\ud800"},
            {"tenant_id": "\ud800"},
        ]
        for given in times:
            with pytest.raises(InvalidInput):
                await engine.trigger("x", 1, **given)
            with pytest.raises(InvalidInput):
                await engine.jobs.create(url=url, **given)
        assert (await engine.triggers.list()).items == ()
        await engine.trigger("x", "\0", run_at=soon)


async def test_an_update_of_a_call_that_cannot_be_read_is_refused_with_advice(
    database_url: str, receiver: Receiver
) -> None:
    async with engine_on(database_url) as engine:
        reaction = await reaction_of(engine, receiver, "default")
        await engine._pool.execute("UPDATE delivery.reaction_versions SET params = 'x'")
        with pytest.raises(DeliveryError, match="cannot be read; delete it"):
            await engine.reactions.update(reaction.id, timeout=5)



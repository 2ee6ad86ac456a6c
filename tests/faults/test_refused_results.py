"""The database refuses results: each is written as soon as it can be, and holds up no other."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from uuid import UUID

import anyio
import asyncpg
import pytest

from delivery import JobStatus, Outcome, TriggerRequest
from tests.support.conditions import until
from tests.support.engines import all_logs, engine_on, wait_for_all
from tests.support.queues import opened
from tests.support.raw_servers import answering_after, serving
from tests.support.raw_servers import until as turns_until
from tests.support.schema_changes import change_schema
from tests.support.settling import owning, rig

if TYPE_CHECKING:
    from tests.support.queues import Bench

pytestmark = pytest.mark.anyio

THANKS = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nthanks"
MANY = 50


def partition_of_today(table: str = "delivery_logs") -> str:
    return f"delivery.{table}_{datetime.now(UTC):%Y%m%d}"


def id_of_day(days_ahead: int) -> UUID:
    milliseconds = int((time.time() + days_ahead * 86_400) * 1000)
    return UUID(int=milliseconds << 80 | 0x7 << 76 | 0b10 << 62 | time.monotonic_ns() % 2**60)


async def statements_while(bench: Bench, executed: list[str]) -> None:
    """Note statements on the connections of the pool from now on."""
    held = [await bench.pool.acquire() for _ in range(bench.pool.get_max_size())]
    for connection in held:
        connection.add_query_logger(lambda query: executed.append(query.query))
    for connection in held:
        await bench.pool.release(connection)


# --- the values


async def test_a_result_with_a_nul_is_stored_with_its_exchange_and_holds_up_no_other(
    database_url: str,
) -> None:
    async with rig(database_url) as (_, running):
        results = await running.claimed(MANY, response_body=b"\0thanks")
        results[17] = results[17]._replace(endpoint="http://127.0.0.1:9/\0ü", status_code=10**6)
        with anyio.fail_after(60):
            running.add(*results)
            await running.settler.drained()
        assert await running.is_settled(*results)
        row = await running.log_of(results[17].job_id)
        assert row["endpoint"] == "http://127.0.0.1:9/\\x00\\xfc"
        assert row["status_code"] is None
        assert row["response_body"] == b"\0thanks", "storable values are stored"
        assert running.held.known() == set()


async def test_an_exchange_that_cannot_be_stored_is_left_out_once(
    database_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with rig(database_url) as (bench, running):
        await bench.pool.execute(
            "ALTER TABLE delivery.delivery_logs ADD CONSTRAINT no_poison"
            " CHECK (response_body IS DISTINCT FROM 'poison'::bytea)"
        )
        results = await running.claimed(MANY, response_body=b"thanks")
        results[3] = results[3]._replace(response_body=b"poison")
        results[40] = results[40]._replace(response_body=b"poison")
        with anyio.fail_after(60):
            running.add(*results)
            await running.settler.drained()
        assert await running.is_settled(*results)
        assert (await running.log_of(results[4].job_id))["response_body"] == b"thanks"
        for guilty in (results[3], results[40]):
            row = await running.log_of(guilty.job_id)
            assert row["id"] == guilty.log_id
            assert row["response_body"] is None
            assert row["status_code"] == 200
            assert "no_poison" in row["error"]
        without = [each for each in caplog.messages if "without its exchange" in each]
        assert len(without) == 2


async def test_a_result_refused_without_its_exchange_is_reported_once(
    database_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with rig(database_url) as (bench, running):
        results = await running.claimed(2, response_body=b"thanks")
        guilty = results[1]
        await bench.pool.execute(
            "ALTER TABLE delivery.delivery_logs ADD CONSTRAINT no_log"
            f" CHECK (job_id <> '{guilty.job_id}')"
        )
        running.add(*results)
        parked = running.settler._parked

        async def was_tried_often() -> bool:
            return any(group.delay >= 0.4 for group in parked._groups.values())

        await until(was_tried_often)
        loud = [each.getMessage() for each in caplog.records if each.levelname == "CRITICAL"]
        assert len([each for each in loud if "without its exchange" in each]) == 1
        assert len([each for each in loud if "results (" in each and "cannot write" in each]) == 1
        assert await running.is_settled(results[0])
        await change_schema(bench.pool, "ALTER TABLE delivery.delivery_logs DROP CONSTRAINT no_log")
        await running.settler.drained()
        assert (await running.log_of(guilty.job_id))["response_body"] is None


async def test_results_that_are_all_refused_for_their_values_are_all_recorded(
    database_url: str,
) -> None:
    async with rig(database_url) as (_, running):
        results = await running.claimed(600, error="\0")
        with anyio.fail_after(60):
            running.add(*results)
            await running.settler.drained()
        assert await running.is_settled(*results)


# --- the place


async def test_a_partition_dropped_during_a_call_is_made_again_and_the_result_is_whole(
    database_url: str,
) -> None:
    opened = asyncio.Event()
    async with (
        serving(answering_after(opened, THANKS)) as server,
        engine_on(database_url) as engine,
    ):
        await engine.reactions.create(name="r", url=server.url)
        trigger = await engine.trigger("x", 1)
        async with engine.workers():
            await turns_until(lambda: server.requests)
            await change_schema(engine._pool, f"DROP TABLE {partition_of_today()}")
            opened.set()
            (job,) = await wait_for_all(engine, trigger.jobs)
        assert job.status is JobStatus.SUCCEEDED
        (log,) = await all_logs(engine)
        assert log.outcome is Outcome.SUCCEEDED
        assert log.response is not None
        assert log.response.body == b"thanks"
        assert len(server.requests) == 1
        assert await engine._pool.fetchval("SELECT count(*) FROM delivery.leases") == 0


async def test_log_ids_of_days_without_a_partition_are_made_again(database_url: str) -> None:
    async with rig(database_url) as (_, running):
        results = await running.claimed(MANY)
        ahead = time.time() + 10 * 86_400
        wild = [result._replace(log_id=id_of_day(10), finished_at=ahead) for result in results[:20]]
        old = [result._replace(log_id=id_of_day(-10)) for result in results[20:30]]
        with anyio.fail_after(60):
            running.add(*wild, *old, *results[30:])
            await running.settler.drained()
        assert await running.is_settled(*results)
        for result in wild:
            row = await running.log_of(result.job_id)
            assert abs(row["created_at"].timestamp() - time.time()) < 60
            assert row["id"].int >> 80 < (time.time() + 60) * 1000


async def test_results_wait_for_a_partition_that_the_role_may_not_make(
    database_url: str, role_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with opened(database_url) as owner, rig(role_url) as (_, running):
        await change_schema(owner.pool, f"DROP TABLE {partition_of_today()}")
        results = await running.claimed(MANY)
        unlogged = await running.claimed(5, log_id=None, status="skipped")
        running.add(*results, *unlogged)
        await until(lambda: settled_as(owner, "skipped", 5))
        assert running.settler.unwritten == MANY
        more = await running.claimed(MANY)
        running.add(*more)
        await anyio.sleep(0.5)
        assert running.settler.unwritten == 2 * MANY
        loud = [each for each in caplog.messages if "results (" in each and "cannot write" in each]
        assert len(loud) == 1, "logged once"
        assert len(running.held.known()) == 2, "leases with parked results stay held"
        await owner.pool.execute("SELECT delivery.ensure_partitions(1)")
        with anyio.fail_after(60):
            await running.settler.drained()
        assert await running.is_settled(*results, *more)
        assert running.held.known() == set()


async def settled_as(bench: Bench, status: str, count: int) -> bool:
    found = await bench.pool.fetchval(
        "SELECT count(*) FROM delivery.jobs WHERE status::text = $1", status
    )
    return bool(found == count)


async def test_a_role_that_loses_a_right_writes_everything_whole_once_it_has_it_again(
    database_url: str, role_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    settings = {"max_unsettled": 20, "concurrency": 20, "batch_size": 10}
    opened = asyncio.Event()
    async with (
        owning(database_url) as owner,
        serving(answering_after(opened, THANKS, first=20)) as server,
        engine_on(role_url, worker=settings) as engine,
    ):
        role = await engine._pool.fetchval("SELECT current_user")
        await engine.reactions.create(name="r", url=server.url)
        triggers = await engine.trigger_many([TriggerRequest("x", n) for n in range(200)])
        async with engine.workers() as worker:
            await turns_until(lambda: len(server.requests) > 20)
            await owner.execute(f"REVOKE INSERT ON delivery.delivery_logs FROM {role}")
            opened.set()
            await turns_until(lambda: worker._settler.unwritten >= 20)
            await turns_until(lambda: not list(worker._executor.jobs()))
            await anyio.sleep(0.5)
            assert len(server.requests) < 200, "claiming stops while results cannot be written"
            await owner.execute(f"GRANT INSERT ON delivery.delivery_logs TO {role}")
            jobs = await wait_for_all(engine, [job for each in triggers for job in each.jobs])
        assert {job.status for job in jobs} == {JobStatus.SUCCEEDED}
        logs = await all_logs(engine)
        assert len(logs) == 200
        assert all(log.response and log.response.body == b"thanks" for log in logs)
        assert len(server.requests) == 200
        loud = [each for each in caplog.messages if "results (" in each and "cannot write" in each]
        assert len(loud) == 1
        assert "lacks rights" in loud[0]


async def test_a_result_refused_by_a_user_trigger_waits_and_holds_up_no_other(
    database_url: str,
) -> None:
    async with rig(database_url) as (bench, running):
        await bench.pool.execute(
            "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS"
            " $$ BEGIN RAISE EXCEPTION 'not today'; END $$;"
            "CREATE TRIGGER refuse BEFORE INSERT ON delivery.delivery_logs FOR EACH ROW"
            " WHEN (NEW.method = 'PUT') EXECUTE FUNCTION refuse()"
        )
        results = await running.claimed(MANY)
        for place in (0, 7, 8, 49):
            results[place] = results[place]._replace(method="PUT", response_body=b"thanks")
        innocent = [result for result in results if result.method != "PUT"]
        running.add(*results)
        await until(lambda: running.is_settled(*innocent))
        assert running.settler.unwritten == 4
        more = await running.claimed(MANY)
        running.add(*more)
        await until(lambda: running.is_settled(*more))
        await change_schema(bench.pool, "DROP TRIGGER refuse ON delivery.delivery_logs")
        with anyio.fail_after(60):
            await running.settler.drained()
        assert (await running.log_of(results[7].job_id))["response_body"] == b"thanks"


async def test_results_without_any_chance_cost_a_bounded_number_of_statements(
    database_url: str,
) -> None:
    async with rig(database_url) as (bench, running):
        results = await running.claimed(500)
        await bench.pool.execute("ALTER TABLE delivery.dead_letters RENAME TO elsewhere")
        executed: list[str] = []
        await statements_while(bench, executed)
        running.add(*results)
        await anyio.sleep(1.0)
        assert running.settler.unwritten == 500
        assert 1 <= len(executed) <= 20
        await bench.pool.execute("ALTER TABLE delivery.elsewhere RENAME TO dead_letters")
        with anyio.fail_after(60):
            await running.settler.drained()
        assert await running.is_settled(*results)


# --- the moment


async def test_a_deadlock_only_delays_results(database_url: str) -> None:
    async with rig(database_url) as (bench, running):
        results = await running.claimed(2)
        first, second = sorted(result.job_id for result in results)
        touch = "UPDATE delivery.jobs SET user_id = 'u' WHERE id = $1"
        other = await asyncpg.connect(database_url)
        try:
            await other.execute("BEGIN; SET deadlock_timeout = '60s'")
            await other.execute(touch, second)
            running.add(*results)
            await until(lambda: _waits_for_a_lock(bench))
            # Whichever order the settler took: it has the other job, or is about to.
            await other.execute(touch, first)
            await other.execute("COMMIT")
        finally:
            await other.close()
        with anyio.fail_after(60):
            await running.settler.drained()
        assert await running.is_settled(*results)


async def _waits_for_a_lock(bench: Bench) -> bool:
    return bool(
        await bench.pool.fetchval(
            "SELECT count(*) FROM pg_stat_activity"
            " WHERE datname = current_database() AND wait_event_type = 'Lock'"
        )
    )


async def test_a_row_that_remains_locked_blocks_only_its_own_result(
    database_url: str,
) -> None:
    async with rig(database_url, patience=0.3) as (_, running):
        results = await running.claimed(MANY)
        other = await asyncpg.connect(database_url)
        try:
            await other.execute("BEGIN")
            await other.execute(
                "SELECT FROM delivery.jobs WHERE id = $1 FOR UPDATE", results[20].job_id
            )
            running.add(*results)
            innocent = [result for result in results if result is not results[20]]
            await until(lambda: running.is_settled(*innocent))
            assert running.settler.unwritten == 1
            more = await running.claimed(MANY)
            running.add(*more)
            await until(lambda: running.is_settled(*more))
            await other.execute("COMMIT")
        finally:
            await other.close()
        with anyio.fail_after(60):
            await running.settler.drained()
        assert await running.is_settled(*results)


async def test_connections_ended_every_moment_lose_no_result(database_url: str) -> None:
    async with opened(database_url) as owner, rig(database_url) as (_, running):
        results = await running.claimed(1000)

        async def end_connections() -> None:
            while True:
                await owner.pool.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE datname = current_database() AND pid <> pg_backend_pid()"
                    " AND backend_type = 'client backend'"
                )
                await anyio.sleep(0.02)

        async with anyio.create_task_group() as group:
            group.start_soon(end_connections)
            for start in range(0, 1000, 10):
                running.add(*results[start : start + 10])
                await anyio.sleep(0.005)
            group.cancel_scope.cancel()
        with anyio.fail_after(60):
            await running.settler.drained()
        assert await running.is_settled(*results)
        assert len(running.written) == 1000


async def test_waiting_results_are_tried_again_when_another_statement_succeeds(
    database_url: str,
) -> None:
    async with rig(database_url) as (_, running):
        running.settler._stalled_until = time.monotonic() + 60
        results = await running.claimed(MANY)
        running.add(*results)
        assert not await running.is_settled(*results)
        assert running.settler.unwritten == MANY
        running.settler.try_again()
        await until(lambda: running.is_settled(*results))

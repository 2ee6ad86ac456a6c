"""Numbers of statements and rows per delivery, which reveal a slow-down without a clock."""

from __future__ import annotations

from collections import Counter
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

import anyio
import anyio.lowlevel
import asyncpg
import pytest

from delivery import TriggerRequest
from delivery.testing import Receiver, Respond
from tests.support.engines import engine_on, wait_for_all

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from delivery import Engine

pytestmark = pytest.mark.anyio

JOBS = 2_000


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with Receiver(default=Respond()) as running:
        yield running


async def statements_of(engine: Engine) -> list[str]:
    """Return a list of the later statements of the engine's pool, without maintenance."""
    executed: list[str] = []

    def note(query: asyncpg.connection.LoggedQuery) -> None:
        if "ensure_partitions" not in query.query and "forget" not in query.query.lower():
            executed.append(query.query)

    async with AsyncExitStack() as stack:
        for _ in range(engine.settings.database.pool_size):
            connection = await stack.enter_async_context(engine._pool.acquire())
            connection.add_query_logger(note)
    return executed


async def test_a_trigger_is_one_statement_however_many_jobs_it_makes(
    database_url: str, receiver: Receiver
) -> None:
    async with engine_on(database_url, database={"pool_size": 2}) as engine:
        for number in range(100):
            await engine.reactions.create(name=str(number), url=receiver.url("/"))
        await engine.trigger("x", 0)
        executed = await statements_of(engine)
        trigger = await engine.trigger("x", 1)
        assert len(trigger.jobs) == 100
        await anyio.lowlevel.checkpoint()  # The driver logs in the next turn of the event loop.
        # Notifications are separate statements, at most one in 20 ms.
        assert len([text for text in executed if "delivery." in text]) == 1


async def test_in_a_callers_transaction_a_trigger_is_one_statement_as_well(
    database_url: str, receiver: Receiver
) -> None:
    async with engine_on(database_url, database={"pool_size": 2}) as engine:
        await engine.reactions.create(name="r", url=receiver.url("/"))
        await engine.trigger("x", 0)
        executed = await statements_of(engine)
        async with engine._pool.acquire() as connection, connection.transaction():
            await engine.trigger("x", 1, connection=connection)
        await anyio.lowlevel.checkpoint()
        assert len([text for text in executed if "delivery." in text]) == 1


async def test_many_triggers_are_a_few_statements(database_url: str, receiver: Receiver) -> None:
    async with engine_on(database_url, database={"pool_size": 2}) as engine:
        await engine.reactions.create(name="r", url=receiver.url("/"))
        await engine.trigger("x", 0)
        executed = await statements_of(engine)
        await engine.trigger_many([TriggerRequest("x", n) for n in range(JOBS)])
        await anyio.lowlevel.checkpoint()
        writing = [text for text in executed if "delivery." in text]
        assert len(writing) <= JOBS * 2 / 500


async def test_deliveries_are_claimed_and_settled_in_batches(
    database_url: str, receiver: Receiver
) -> None:
    worker = {"heartbeat_interval": 5, "dead_after": 60}
    async with engine_on(database_url, worker=worker, database={"pool_size": 4}) as engine:
        for number in range(10):
            await engine.reactions.create(
                name=str(number), event_types=[f"t.{number}"], url=receiver.url(f"/{number}")
            )
        triggers = await engine.trigger_many(
            [TriggerRequest(f"t.{n % 10}", n) for n in range(JOBS)]
        )
        executed = await statements_of(engine)
        async with engine.workers():
            await receiver.wait_for(JOBS, timeout=60)
        counts = Counter(_kind(text) for text in executed)
        assert counts["claim"] <= JOBS / 20
        assert counts["settle"] <= JOBS / 20
        assert sum(counts.values()) <= JOBS / 8, counts
        await wait_for_all(engine, [job for each in triggers for job in each.jobs])


def _kind(text: str) -> str:
    if "INSERT INTO delivery.leases" in text:
        return "claim"
    if "INSERT INTO delivery.delivery_logs" in text:
        return "settle"
    return "other"


async def test_a_delivery_writes_no_row_that_it_need_not(
    database_url: str, receiver: Receiver
) -> None:
    worker = {"heartbeat_interval": 5, "dead_after": 60}
    async with engine_on(database_url, worker=worker) as engine:
        for number in range(10):
            await engine.reactions.create(
                name=str(number), event_types=[f"t.{number}"], url=receiver.url(f"/{number}")
            )
        triggers = await engine.trigger_many(
            [TriggerRequest(f"t.{n % 10}", n) for n in range(JOBS)]
        )
        async with engine.workers():
            await wait_for_all(engine, [job for each in triggers for job in each.jobs])
    # The connections of the engine are closed, so they have reported their writes.
    rows = await written(database_url)
    in_place = rows.pop(("jobs", "updated in place"))
    assert in_place >= JOBS * 0.97, "no index is touched where a page has room for the new version"
    leases = rows.pop(("leases", "inserted"))
    assert leases == rows.pop(("leases", "deleted")) <= JOBS / 20
    for key in list(rows):
        if key[0] in {"workers", "catalogs", "reactions", "reaction_versions", "migrations"}:
            assert rows.pop(key) <= 20
    assert rows == {
        ("triggers", "inserted"): JOBS,
        ("jobs", "inserted"): JOBS,
        ("waiting_jobs", "inserted"): JOBS,
        ("waiting_jobs", "deleted"): JOBS,
        ("delivery_logs", "inserted"): JOBS,
        ("jobs", "updated"): JOBS,
    }


async def written(url: str) -> Counter[tuple[str, str]]:
    """Return the number of rows written so far by table, as the server counts them."""
    connection = await asyncpg.connect(url)
    try:
        rows: list[Any] = await connection.fetch(
            "SELECT regexp_replace(relname, '_\\d{8}$', '') AS name, sum(n_tup_ins)::int,"
            " sum(n_tup_upd)::int, sum(n_tup_del)::int, sum(n_tup_hot_upd)::int"
            " FROM pg_stat_user_tables WHERE schemaname = 'delivery' GROUP BY 1"
        )
    finally:
        await connection.close()
    return Counter(
        {
            (row["name"], kind): count
            for row in rows
            for kind, count in zip(
                ("inserted", "updated", "deleted", "updated in place"), list(row)[1:], strict=True
            )
            if count
        }
    )

"""The engine with PgBouncer in transaction mode and few sessions.

The tests need PgBouncer: `apt-get install pgbouncer` on Debian and Ubuntu.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from delivery import JobStatus, TriggerRequest
from delivery.errors import PreparedStatementsLost
from delivery.store.driver.connection import connect
from delivery.testing import Receiver, Respond
from tests.cli.running import call
from tests.support.engines import all_logs, engine_on, wait_for_all
from tests.support.poolers import PGBOUNCER, pooled

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(PGBOUNCER is None, reason="no PgBouncer: apt-get install pgbouncer"),
]

WITHOUT_CACHE = {"statement_cache_size": 0}


@pytest.fixture
def pooled_url(database_url: str) -> Iterator[str]:
    """URL of the test's database through a pooler with three sessions."""
    with pooled(database_url) as url:
        yield url


@pytest.fixture
def single_session_url(database_url: str) -> Iterator[str]:
    """URL of the test's database through a pooler that gives its only session to one client."""
    with pooled(database_url, sessions=1, mode="session", query_wait_timeout=120) as url:
        yield url


async def test_all_features_work_with_a_pooler_in_transaction_mode(pooled_url: str) -> None:
    """The engine has more connections than the pooler has sessions, and no notifications."""
    async with (
        Receiver(default=Respond(delay=0.005)) as receiver,
        engine_on(pooled_url, notifications=False, database=WITHOUT_CACHE) as engine,
        engine_on(pooled_url, notifications=False, database=WITHOUT_CACHE) as other,
    ):
        for number in range(3):
            await engine.reactions.create(name=str(number), url=receiver.url(f"/{number}"))
        async with engine.workers(), other.workers():
            written = await asyncio.gather(
                *(engine.trigger("x", n) for n in range(50)),
                *(other.trigger("x", n) for n in range(50)),
            )
            many = await engine.trigger_many([TriggerRequest("x", n) for n in range(100)])
            jobs = [job for trigger in (*written, *many) for job in trigger.jobs]
            done = await wait_for_all(engine, jobs)
        assert len(jobs) == 600
        assert {job.status for job in done} == {JobStatus.SUCCEEDED}
        assert set(receiver.counts.values()) == {1}
        assert len(await all_logs(engine)) == 600


async def test_work_is_found_without_notifications_through_a_pooler(pooled_url: str) -> None:
    """A worker without notifications finds its work by polling."""
    async with (
        Receiver(default=Respond()) as receiver,
        engine_on(pooled_url, notifications=True, database=WITHOUT_CACHE) as engine,
        engine_on(pooled_url, notifications=True, database=WITHOUT_CACHE) as producer,
    ):
        await engine.reactions.create(name="r", url=receiver.url("/r"))
        async with engine.workers():
            trigger = await producer.trigger("x", 1)
            (job,) = await wait_for_all(producer, trigger.jobs)
        assert job.status is JobStatus.SUCCEEDED


async def test_the_error_of_lost_prepared_statements_names_the_setting(
    pooled_url: str,
) -> None:
    """PgBouncer before 1.21, or without max_prepared_statements, loses prepared statements."""
    one = await connect(pooled_url, 30.0)
    two = await connect(pooled_url, 30.0)
    try:
        assert await one.fetchval("SELECT 1 + 1") == 2
        # Another client now uses the session with the statement.
        await two.execute("BEGIN")
        with pytest.raises(PreparedStatementsLost, match=r"database\.statement_cache_size=0"):
            await one.fetchval("SELECT 1 + 1")
        assert one.is_closed()
    finally:
        await one.close()
        await two.close()


async def test_the_doctor_ends_soon_with_a_pooler_of_one_session(
    single_session_url: str,
) -> None:
    ended = await call(
        *("doctor", "--database-url", single_session_url),
        *("--set", "database.statement_cache_size=0", "--set", "database.connect_timeout=1"),
    )
    assert ended.code == 1
    assert "did not" in ended.out
    assert "Traceback" not in ended.err

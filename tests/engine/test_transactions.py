"""Triggers in the caller's own transaction come and go with it."""

from __future__ import annotations

import asyncpg
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine

from delivery import InvalidInput, JobStatus, NotFound, NoTransaction
from delivery.testing import Receiver, Respond
from tests.support.engines import engine_on, wait_for_all

pytestmark = pytest.mark.anyio


async def _reaction(engine: object, url: str = "http://127.0.0.1:9/") -> None:
    await engine.reactions.create(name="r", url=url)  # type: ignore[attr-defined]


async def test_a_rolled_back_trigger_leaves_nothing(database_url: str) -> None:
    async with engine_on(database_url) as engine:
        await _reaction(engine)
        connection = await asyncpg.connect(database_url)
        transaction = connection.transaction()
        await transaction.start()
        trigger = await engine.trigger("x", 1, connection=connection)
        direct = await engine.jobs.create(url="http://127.0.0.1:9/", connection=connection)
        with pytest.raises(NotFound):
            await engine.triggers.get(trigger.id)
        await transaction.rollback()
        with pytest.raises(NotFound):
            await engine.triggers.get(trigger.id)
        with pytest.raises(NotFound):
            await engine.jobs.get(direct.id)
        for table in ("triggers", "jobs", "waiting_jobs", "direct_jobs"):
            assert await connection.fetchval(f"SELECT count(*) FROM delivery.{table}") == 0
        await connection.close()


@pytest.mark.parametrize("notifications", [True, False])
async def test_a_committed_trigger_is_delivered_after_the_commit(
    database_url: str, *, notifications: bool
) -> None:
    async with (
        Receiver(default=Respond()) as receiver,
        engine_on(database_url, notifications=notifications) as engine,
    ):
        await _reaction(engine, receiver.url("/r"))
        pool = await asyncpg.create_pool(database_url, min_size=1, max_size=2)
        async with engine.workers():
            async with pool.acquire() as connection, connection.transaction():
                trigger = await engine.trigger("x", 1, connection=connection)
                seen = await connection.fetchval(
                    "SELECT count(*) FROM delivery.jobs WHERE trigger_id = $1", trigger.id
                )
                assert seen == 1, "visible within the caller's transaction"
                assert receiver.count() == 0
            (job,) = await wait_for_all(engine, trigger.jobs)
        assert job.status is JobStatus.SUCCEEDED
        await pool.close()


async def test_a_connection_without_a_transaction_is_refused(database_url: str) -> None:
    async with engine_on(database_url) as engine:
        await _reaction(engine)
        connection = await asyncpg.connect(database_url)
        with pytest.raises(NoTransaction, match="no open transaction"):
            await engine.trigger("x", 1, connection=connection)
        assert await connection.fetchval("SELECT count(*) FROM delivery.triggers") == 0
        await connection.close()
        with pytest.raises(InvalidInput, match="of type str"):
            await engine.trigger("x", 1, connection="a string")


async def test_an_sqlalchemy_session_carries_the_trigger_and_rolls_it_back(
    database_url: str,
) -> None:
    alchemy = create_async_engine(database_url.replace("postgresql://", "postgresql+asyncpg://"))
    async with engine_on(database_url) as engine:
        await _reaction(engine)
        async with AsyncSession(alchemy) as session:
            with pytest.raises(NoTransaction, match=r"session\.begin"):
                await engine.trigger("x", 1, connection=session)
        async with AsyncSession(alchemy) as session:
            await session.begin()
            # Nothing has gone through the session yet: the raw connection is not in a transaction.
            lost = await engine.trigger("x", 1, connection=session)
            await session.rollback()
        with pytest.raises(NotFound):
            await engine.triggers.get(lost.id)
        async with AsyncSession(alchemy) as session, session.begin():
            await session.execute(text("SELECT 1"))
            kept = await engine.trigger("x", {"a": [1, None]}, connection=session)
        assert (await engine.triggers.get(kept.id)).payload == b'{"a":[1,null]}'
        async with alchemy.begin() as connection:
            of_connection = await engine.trigger("x", 2, connection=connection)
        assert (await engine.triggers.get(of_connection.id)).jobs == of_connection.jobs
    await alchemy.dispose()


async def test_an_sqlalchemy_session_of_another_kind_is_refused(database_url: str) -> None:
    async with engine_on(database_url) as engine:
        with pytest.raises(InvalidInput, match="not an AsyncSession"):
            await engine.trigger("x", 1, connection=text("SELECT 1"))

"""The pool serves waits in order, closes unusable sessions, and never loses capacity."""

from __future__ import annotations

import asyncio
import random
import traceback
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import anyio
import asyncpg
import pytest

from delivery.errors import (
    ConnectionLost,
    DatabaseError,
    DatabaseUnavailable,
    SchemaMismatch,
    StatementTimeout,
    ValueRefused,
)
from delivery.settings import load_settings
from delivery.store.driver.connection import Pool, connect, open_pool
from delivery.store.driver.failures import text_of
from delivery.store.driver.transaction import savepoint, transaction
from delivery.store.driver.urgency import urgent
from tests.support.proxies import Proxy
from tests.support.raw_servers import until

if TYPE_CHECKING:
    from delivery.store.driver.connection import Session

pytestmark = pytest.mark.anyio


async def pool_of(url: str, size: int) -> Pool:
    """Return a pool of this size."""
    return await open_pool(load_settings(database={"pool_size": size}), url)


async def test_waits_are_served_in_order(database_url: str) -> None:
    async with await pool_of(database_url, 2) as pool:
        served: list[int] = []

        async def work(number: int) -> None:
            async with pool.acquire() as session:
                served.append(number)
                await session.fetchval("SELECT 1")

        async with pool.acquire(), pool.acquire():
            tasks = []
            for number in range(10):
                tasks.append(asyncio.create_task(work(number)))
                await asyncio.sleep(0)
        await asyncio.gather(*tasks)
        assert served == list(range(10))


async def test_canceled_waits_and_statements_lose_no_capacity(database_url: str) -> None:
    chance = random.Random(7)
    async with await pool_of(database_url, 3) as pool:

        async def work() -> None:
            async with pool.acquire() as session:
                await session.fetchval("SELECT pg_sleep(0.002)")

        for _ in range(10):
            tasks = [asyncio.create_task(work()) for _ in range(20)]
            for task in tasks:
                await anyio.sleep(chance.random() * 0.002)
                if chance.random() < 0.5:
                    task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        async with pool.acquire() as one, pool.acquire() as two, pool.acquire() as three:
            assert pool.get_size() == 3
            for session in (one, two, three):
                assert await session.fetchval("SELECT 1") == 1


async def test_an_urgent_statement_can_open_an_additional_session(database_url: str) -> None:
    async with await pool_of(database_url, 2) as pool:
        async with pool.acquire(), pool.acquire():
            with urgent():
                assert await pool.fetchval("SELECT 1") == 1
        assert pool.get_size() == 2


async def test_an_ordinary_statement_never_gets_the_additional_session(
    database_url: str,
) -> None:
    """The heartbeat returns its session while ordinary statements wait for one."""
    async with await pool_of(database_url, 2) as pool:
        async with pool.acquire(), pool.acquire():
            waiting = [asyncio.create_task(pool.fetchval("SELECT 1")) for _ in range(5)]
            await asyncio.sleep(0)
            for _ in range(3):
                with urgent():
                    assert await pool.fetchval("SELECT 1") == 1
                assert pool.get_size() == 2
            assert not any(task.done() for task in waiting)
        assert await asyncio.gather(*waiting) == [1] * 5


async def test_an_urgent_statement_that_waits_is_served_before_ordinary_ones(
    database_url: str,
) -> None:
    async with await pool_of(database_url, 2) as pool:
        served: list[str] = []

        async def work(name: str) -> None:
            async with pool.acquire():
                served.append(name)

        taken = [await pool.acquire(), await pool.acquire()]
        with urgent():
            taken.append(await pool.acquire())
        tasks = [asyncio.create_task(work("ordinary"))]
        await asyncio.sleep(0)
        with urgent():
            tasks.append(asyncio.create_task(work("urgent")))
        await asyncio.sleep(0)
        await pool.release(taken.pop())
        await tasks[1]
        assert served == ["urgent"]
        for session in taken:
            await pool.release(session)
        await tasks[0]


@pytest.mark.parametrize("others", [0, 1], ids=["the only one", "beside a busy one"])
async def test_a_session_that_becomes_idle_while_another_is_refused_is_used(
    database_url: str, role_url: str, others: int
) -> None:
    """The server refuses a connection; meanwhile a busy session returns to the pool."""
    limited = urlsplit(role_url).username
    trying, free = asyncio.Event(), asyncio.Event()

    async def open_session() -> Session:
        if pool.get_size() > 1 + others:
            trying.set()
            await free.wait()
        return await connect(role_url, 30)

    pool = Pool(open_session, size=3, acquire_timeout=30)
    admin = await asyncpg.connect(database_url)
    await admin.execute(f'ALTER ROLE "{limited}" CONNECTION LIMIT {1 + others}')
    await admin.close()
    async with pool, AsyncExitStack() as stack:
        for _ in range(others):
            await stack.enter_async_context(pool.acquire())
        one = await pool.acquire()
        waiting = asyncio.create_task(pool.fetchval("SELECT 1"))
        await trying.wait()
        await pool.release(one)
        free.set()
        async with asyncio.timeout(30):
            assert await waiting == 1


async def test_a_transaction_continues_after_a_rollback_to_a_savepoint(
    database_url: str,
) -> None:
    """The session is closed afterwards, since its plans may be outdated."""
    async with await pool_of(database_url, 2) as pool:
        async with transaction(pool) as session:
            with pytest.raises(SchemaMismatch):
                async with savepoint(session):
                    await session.execute("SELECT * FROM delivery.nothing")
            before = await session.fetchval("SELECT pg_backend_pid()")
        assert await pool.fetchval("SELECT pg_backend_pid()") != before


async def test_no_traceback_of_a_session_contains_a_stored_value(
    database_url: str,
) -> None:
    async with await pool_of(database_url, 2) as pool, transaction(pool) as session:
        await session.execute(
            "CREATE TEMPORARY TABLE taken (name text CHECK (name <> 'hunter2'), number int4)"
        )
        statements: list[tuple[str, object]] = [
            ("INSERT INTO taken (name) VALUES ($1)", "hunter2"),
            ("INSERT INTO taken (number) VALUES ($1)", "hunter2"),
            ("SELECT $1::uuid", "hunter2"),
        ]
        for query, value in statements:
            with pytest.raises(ValueRefused) as caught:
                async with savepoint(session):
                    await session.execute(query, value)
            assert "hunter2" not in "".join(traceback.format_exception(caught.value)), query
            assert "hunter2" not in text_of(caught.value)


async def test_a_session_that_was_unused_for_long_is_tested_first(database_url: str) -> None:
    """A firewall may have dropped its connection; a statement must not wait for its deadline."""
    async with Proxy(database_url) as proxy, await pool_of(proxy.url, 2) as pool:
        async with pool.acquire() as session:
            pass
        session.heard_at -= 60
        proxy.swallow(new=False)
        async with asyncio.timeout(30):
            assert await pool.fetchval("SELECT 1") == 1


async def test_a_session_that_was_closed_meanwhile_is_replaced(database_url: str) -> None:
    async with Proxy(database_url) as proxy, await pool_of(proxy.url, 2) as pool:
        async with pool.acquire(), pool.acquire():
            pass
        proxy.cut()
        await until(lambda: all(session.is_closed() for session in pool._idle))
        assert await pool.fetchval("SELECT 1") == 1


async def test_the_error_of_a_lost_session_says_that_the_result_is_unknown(
    database_url: str,
) -> None:
    async with Proxy(database_url) as proxy, await pool_of(proxy.url, 2) as pool:
        waiting = asyncio.create_task(pool.fetchval("SELECT pg_sleep(10)"))
        await until(lambda: any(session.is_occupied() for session in pool._busy))
        proxy.cut()
        with pytest.raises(ConnectionLost, match="is not known") as caught:
            await waiting
        assert isinstance(caught.value.__cause__, (asyncpg.PostgresError, OSError))


async def test_a_terminated_session_makes_the_pool_replace_all_sessions(database_url: str) -> None:
    async with await pool_of(database_url, 3) as pool:
        async with pool.acquire() as one, pool.acquire() as two:
            before = {one.get_server_pid(), two.get_server_pid()}
            with pytest.raises(DatabaseError):
                await one.fetchval("SELECT pg_terminate_backend(pg_backend_pid())")
        assert await pool.fetchval("SELECT pg_backend_pid()") not in before


async def test_a_closed_pool_refuses_new_and_current_waits(database_url: str) -> None:
    pool = await pool_of(database_url, 2)
    one, two = await pool.acquire(), await pool.acquire()
    waiting = asyncio.create_task(pool.fetchval("SELECT 1"))
    await asyncio.sleep(0)
    closing = asyncio.create_task(pool.close())
    with pytest.raises(DatabaseUnavailable, match="the engine is closed"):
        await waiting
    await pool.release(one)
    await pool.release(two)
    await closing
    assert one.is_closed()
    with pytest.raises(DatabaseUnavailable, match="the engine is closed"):
        await pool.fetchval("SELECT 1")


async def test_sessions_with_a_recent_response_survive_a_missed_deadline(database_url: str) -> None:
    """One slow statement does not close all sessions."""
    async with await pool_of(database_url, 3) as pool:
        slow = asyncio.create_task(pool.fetchval("SELECT pg_sleep(60)", timeout=0.3))
        while not slow.done():
            before = await pool.fetchval("SELECT pg_backend_pid()")
            await anyio.sleep(0.01)
        with pytest.raises(StatementTimeout):
            await slow
        assert await pool.fetchval("SELECT pg_backend_pid()") == before

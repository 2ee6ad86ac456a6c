"""The pool hands its sessions out in order, keeps none that is useless, and loses no place."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING

import anyio
import asyncpg
import pytest

from delivery.errors import ConnectionLost, DatabaseError, DatabaseUnavailable, StatementTimeout
from delivery.settings import load_settings
from delivery.store.connection import open_pool
from delivery.store.urgency import urgent
from tests.support.proxies import Proxy

if TYPE_CHECKING:
    from delivery.store.connection import Pool

pytestmark = pytest.mark.anyio


async def pool_of(url: str, size: int) -> Pool:
    """A pool of this size."""
    return await open_pool(load_settings(database={"pool_size": size}), url)


async def test_who_waits_first_is_served_first(database_url: str) -> None:
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


async def test_canceled_waits_and_statements_lose_no_place(database_url: str) -> None:
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


async def test_an_urgent_statement_may_open_one_session_more(database_url: str) -> None:
    async with await pool_of(database_url, 2) as pool:
        async with pool.acquire(), pool.acquire():
            with urgent():
                assert await pool.fetchval("SELECT 1") == 1
        assert pool.get_size() == 2


async def test_a_session_that_was_unused_for_long_is_asked_first(database_url: str) -> None:
    """A firewall may have forgotten it, and a statement must not wait for its deadline."""
    async with Proxy(database_url) as proxy, await pool_of(proxy.url, 2) as pool:
        async with pool.acquire() as session:
            pass
        session.heard_at -= 60
        proxy.swallow(new=False)
        async with asyncio.timeout(5):
            assert await pool.fetchval("SELECT 1") == 1


async def test_a_session_that_was_closed_meanwhile_is_replaced(database_url: str) -> None:
    async with Proxy(database_url) as proxy, await pool_of(proxy.url, 2) as pool:
        async with pool.acquire(), pool.acquire():
            pass
        proxy.cut()
        await anyio.sleep(0.05)
        assert await pool.fetchval("SELECT 1") == 1


async def test_a_session_that_is_cut_off_in_a_statement_says_that_its_end_is_unknown(
    database_url: str,
) -> None:
    async with Proxy(database_url) as proxy, await pool_of(proxy.url, 2) as pool:
        waiting = asyncio.create_task(pool.fetchval("SELECT pg_sleep(10)"))
        await anyio.sleep(0.1)
        proxy.cut()
        with pytest.raises(ConnectionLost, match="is not known") as caught:
            await waiting
        assert isinstance(caught.value.__cause__, (asyncpg.PostgresError, OSError))


async def test_a_terminated_session_makes_all_others_new(database_url: str) -> None:
    async with await pool_of(database_url, 3) as pool:
        async with pool.acquire() as one, pool.acquire() as two:
            before = {one.get_server_pid(), two.get_server_pid()}
            with pytest.raises(DatabaseError):
                await one.fetchval("SELECT pg_terminate_backend(pg_backend_pid())")
        assert await pool.fetchval("SELECT pg_backend_pid()") not in before


async def test_a_closed_pool_refuses_and_releases_those_who_wait(database_url: str) -> None:
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


async def test_sessions_that_were_heard_from_survive_a_missed_deadline(database_url: str) -> None:
    """One slow statement does not make everything connect again."""
    async with await pool_of(database_url, 3) as pool:
        slow = asyncio.create_task(pool.fetchval("SELECT pg_sleep(60)", timeout=0.3))
        while not slow.done():
            before = await pool.fetchval("SELECT pg_backend_pid()")
            await anyio.sleep(0.01)
        with pytest.raises(StatementTimeout):
            await slow
        assert await pool.fetchval("SELECT pg_backend_pid()") == before

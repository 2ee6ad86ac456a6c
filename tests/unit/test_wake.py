"""Notifications name lanes, and their failures raise no errors."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING
from uuid import UUID

import asyncpg
import pytest

from delivery.engine.fan_out import FanOutWriter, TriggerDraft
from delivery.queue.wakeups import ANY_LANE, Waker, decode_lanes, encode_lanes
from delivery.settings import load_settings
from delivery.store.driver.connection import open_pool
from delivery.store.driver.transaction import transaction
from tests.support.conditions import until
from tests.support.queues import opened

if TYPE_CHECKING:
    from collections.abc import Iterable

    from delivery.store.queue import LaneKey


def test_decoded_lanes_equal_the_encoded_lanes() -> None:
    lanes = {(UUID(int=1), 100), (UUID(int=2), 0)}
    source, decoded = decode_lanes(encode_lanes(lanes, "a1b2"))
    assert source == "a1b2"
    assert set(decoded or ()) == lanes


def test_too_many_lanes_for_a_notification_become_any_lane() -> None:
    lanes = [(UUID(int=number), 32_767) for number in range(1, 102)]
    assert decode_lanes(encode_lanes(lanes, "a1b2")) == ("a1b2", None)
    assert len(encode_lanes(lanes[:100])) < 8000


@pytest.mark.parametrize("text", [ANY_LANE, "", "x", "1:2:3", "zz:1", f"{UUID(int=1).hex}:"])
def test_a_text_without_lanes_means_any_lane(text: str) -> None:
    assert decode_lanes(text)[1] is None


class _Woken:
    """Record of the lanes that a dispatcher is woken for."""

    def __init__(self) -> None:
        self.lanes: set[LaneKey] = set()

    def wake(self, lanes: Iterable[LaneKey] | None) -> None:
        self.lanes |= set(lanes or ())


@pytest.mark.anyio
async def test_work_in_an_open_transaction_is_announced_when_it_ends(database_url: str) -> None:
    pool = await open_pool(load_settings(database={"pool_size": 3}), database_url)
    waker, woken = Waker(pool, notifications=False), _Woken()
    waker.subscribe(woken)
    committed, released, closed = [(UUID(int=number), 1) for number in (1, 2, 3)]

    connection = await asyncpg.connect(database_url)
    transaction = connection.transaction()
    await transaction.start()
    waker.announce_after(connection, [committed])
    other = await pool.acquire()
    await other.execute("BEGIN")
    waker.announce_after(other, [released])
    third = await asyncpg.connect(database_url)
    await third.execute("BEGIN")
    waker.announce_after(third, [closed])

    async def has_heard_of(lane: LaneKey) -> bool:
        return lane in woken.lanes

    assert await pool.fetchval("SELECT 1") == 1
    assert woken.lanes == set()
    await transaction.commit()
    await until(lambda: has_heard_of(committed))
    await pool.release(other)
    await until(lambda: has_heard_of(released))
    third.terminate()
    await until(lambda: has_heard_of(closed))
    await connection.close()
    await waker.aclose()
    await pool.close()


@pytest.mark.anyio
async def test_own_triggers_are_announced_at_their_commit_even_if_their_session_is_reused(
    database_url: str,
) -> None:
    async with opened(database_url) as bench:
        waker, woken = Waker(bench.pool, notifications=False), _Woken()
        waker.subscribe(woken)
        writer = FanOutWriter(bench.pool, bench.ids, waker)
        draft = TriggerDraft("test", b"1", None, None, None, None)
        async with transaction(bench.pool) as first:
            await writer.write_within("default", [draft], first)
            assert woken.lanes == set()
        async with transaction(bench.pool) as second:
            assert second is first
            await asyncio.sleep(0)
            assert woken.lanes == {(bench.reaction_id, 100)}
        await waker.aclose()


@pytest.mark.anyio
async def test_work_that_is_rolled_back_is_never_announced(
    database_url: str,
) -> None:
    async with opened(database_url) as bench:
        waker, woken = Waker(bench.pool, notifications=False), _Woken()
        waker.subscribe(woken)
        writer = FanOutWriter(bench.pool, bench.ids, waker)
        draft = TriggerDraft("test", b"1", None, None, None, None)

        async def fail() -> None:
            async with transaction(bench.pool) as connection:
                await writer.write_within("default", [draft], connection)
                raise KeyError

        with pytest.raises(KeyError):
            await fail()
        async with transaction(bench.pool):
            pass
        assert woken.lanes == set()
        await waker.aclose()


@pytest.mark.anyio
async def test_a_notification_that_fails_is_logged_and_raises_nothing(
    database_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    pool = await open_pool(load_settings(database={"pool_size": 2}), database_url)
    await pool.close()
    waker, woken = Waker(pool, notifications=True), _Woken()
    waker.subscribe(woken)
    lane = (UUID(int=1), 1)
    with caplog.at_level(logging.WARNING):
        waker.announce([lane])
        assert woken.lanes == {lane}
        await waker.aclose()
    assert "cannot notify" in caplog.text

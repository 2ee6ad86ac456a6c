"""Who has the places at an endpoint, and who is next."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from delivery.http.pool import Pool

pytestmark = pytest.mark.anyio


def fill(pool: Pool, tenant: str, lanes: int, calls: int) -> int:
    """Take as many places as a tenant may have with so many calls of each lane."""
    taken = 0
    for _ in range(calls):
        for lane in range(lanes):
            if pool.admits(tenant, (tenant, lane)):
                pool.enter(tenant, (tenant, lane))
                taken += 1
    return taken


def test_one_lane_leaves_places_for_others() -> None:
    pool = Pool(80, set())
    assert fill(pool, "busy", lanes=1, calls=100) == 70
    assert pool.admits("busy", "another")
    assert pool.admits("quiet", "q")


def test_many_lanes_of_one_tenant_leave_places_for_others() -> None:
    pool = Pool(80, set())
    assert fill(pool, "busy", lanes=100, calls=10) == 75
    assert not pool.admits("busy", "another")
    assert pool.admits("quiet", "q")
    pool.enter("quiet", "q")
    assert not pool.admits("quiet", "q")


def test_few_places_are_kept_for_nobody() -> None:
    pool = Pool(7, set())
    assert fill(pool, "busy", lanes=1, calls=10) == 7
    assert not pool.admits("quiet", "q")


async def test_who_waits_is_served_in_turns() -> None:
    pool = Pool(1, set())
    pool.enter("busy", 0)
    order: list[str] = []
    for tenant, lane in [("busy", 1)] * 3 + [("busy", 2)] * 3 + [("quiet", 3)] * 2:
        pool.ask(tenant, lane).add_done_callback(
            lambda _, name=f"{tenant} {lane}": order.append(name)  # type: ignore[misc]
        )
    pool.leave("busy", 0)
    while len(order) < 8:
        await asyncio.sleep(0)
        if order:
            last, number = order[-1].split()
            pool.leave(last, int(number))
            await asyncio.sleep(0)
    assert order == [
        *("busy 1", "quiet 3", "busy 2", "quiet 3"),
        *("busy 1", "busy 2", "busy 1", "busy 2"),
    ]


async def test_waiting_that_is_given_up_leaves_no_place_taken() -> None:
    pool = Pool(1, set())
    pool.enter("t", 1)
    given_up = pool.ask("t", 2)
    late = asyncio.create_task(pool.wait("t", 3))
    await asyncio.sleep(0)
    given_up.cancel()
    pool.leave("t", 1)
    # It has a place now, and is cancelled before it can notice.
    late.cancel()
    await asyncio.gather(late, return_exceptions=True)
    assert pool.is_unused
    assert pool.admits("t", 4)


steps = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 5), st.booleans()), max_size=120)


class Users:
    """Those who have places, and those who wait."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.crowded: set[Pool] = set()
        self.pool = Pool(limit, self.crowded)
        self.held: list[tuple[int, int]] = []
        self.waiting: list[tuple[tuple[int, int], asyncio.Future[None]]] = []

    def asks(self, key: tuple[int, int]) -> None:
        """One more wants a place."""
        if self.pool.admits(key[0], key):
            self.pool.enter(key[0], key)
            self.held.append(key)
        else:
            self.waiting.append((key, self.pool.ask(key[0], key)))
        self.look()

    def give_back(self, number: int) -> None:
        """One of them is done."""
        if self.held:
            key = self.held.pop(number % len(self.held))
            self.pool.leave(key[0], key)
        self.look()

    def look(self) -> None:
        """Compare with what the pool says."""
        self.held += [key for key, waiter in self.waiting if waiter.done()]
        self.waiting = [entry for entry in self.waiting if not entry[1].done()]
        assert len(self.held) <= self.limit
        assert (self.pool in self.crowded) == (self.limit - len(self.held) <= self.limit // 8)
        for key, _ in self.waiting:
            assert not self.pool.admits(key[0], key), "nobody waits for what is there"


@given(st.integers(1, 40), steps)
def test_places_are_never_too_many_and_never_idle(
    limit: int, steps: list[tuple[int, int, bool]]
) -> None:
    """Whatever is asked and given back in whatever order."""

    async def run() -> None:
        users = Users(limit)
        for tenant, lane, gives_back in steps:
            if gives_back:
                users.give_back(lane)
            else:
                users.asks((tenant, lane))
        while users.held:
            users.give_back(0)
        assert not users.waiting
        assert users.pool.is_unused

    asyncio.run(run())

"""Who has the places at an endpoint, and who is next."""

from __future__ import annotations

import asyncio
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from delivery.http.pool import EndpointPool

pytestmark = pytest.mark.anyio


class Call:
    """One call of a lane."""

    def __init__(self, tenant: str, lane: int) -> None:
        self.tenant: str | None = tenant
        self.lane: UUID | None = UUID(int=lane)


def may_enter(pool: EndpointPool, call: Call) -> bool:
    return pool.admits(call.tenant, call.lane)


def fill(pool: EndpointPool, tenant: str, lanes: int, calls: int) -> int:
    """Take as many places as a tenant may have with so many calls of each lane."""
    taken = 0
    for _ in range(calls):
        for lane in range(lanes):
            call = Call(tenant, lane)
            if may_enter(pool, call):
                pool.enter(call)
                taken += 1
    return taken


def test_one_lane_leaves_places_for_others() -> None:
    pool = EndpointPool(80, set())
    assert fill(pool, "busy", lanes=1, calls=100) == 70
    assert may_enter(pool, Call("busy", 999))
    assert may_enter(pool, Call("quiet", 1_000))


def test_many_lanes_of_one_tenant_leave_places_for_others() -> None:
    pool = EndpointPool(80, set())
    assert fill(pool, "busy", lanes=100, calls=10) == 75
    assert not may_enter(pool, Call("busy", 999))
    assert may_enter(pool, Call("quiet", 1_000))
    pool.enter(Call("quiet", 1_000))
    assert not may_enter(pool, Call("quiet", 1_000))


def test_few_places_are_kept_for_nobody() -> None:
    pool = EndpointPool(7, set())
    assert fill(pool, "busy", lanes=1, calls=10) == 7
    assert not may_enter(pool, Call("quiet", 1_000))


async def test_who_waits_is_served_in_turns() -> None:
    pool = EndpointPool(1, set())
    first = Call("busy", 0)
    pool.enter(first)
    served: list[Call] = []
    for tenant, lane in [("busy", 1)] * 3 + [("busy", 2)] * 3 + [("quiet", 3)] * 2:
        call = Call(tenant, lane)
        pool.request(call).add_done_callback(lambda _, call=call: served.append(call))  # type: ignore[misc]
    pool.leave(first)
    for number in range(8):
        while len(served) <= number:
            await asyncio.sleep(0)
        pool.leave(served[number])
    assert [call.lane.int for call in served if call.lane] == [1, 3, 2, 3, 1, 2, 1, 2]
    assert pool.is_unused


async def test_waiting_that_is_given_up_leaves_no_place_taken() -> None:
    pool = EndpointPool(1, set())
    first = Call("t", 1)
    pool.enter(first)
    given_up = pool.request(Call("t", 2))
    late = asyncio.create_task(pool.wait(Call("t", 3)))
    await asyncio.sleep(0)
    given_up.cancel()
    pool.leave(first)
    # It has a place now, and is cancelled before it can notice.
    late.cancel()
    await asyncio.gather(late, return_exceptions=True)
    assert pool.is_unused
    assert may_enter(pool, Call("t", 4))


steps = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 5), st.booleans()), max_size=120)


class Users:
    """Those who have places, and those who wait."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.saturated: set[EndpointPool] = set()
        self.pool = EndpointPool(limit, self.saturated)
        self.held: list[Call] = []
        self.waiting: list[tuple[Call, asyncio.Future[None]]] = []

    def asks(self, call: Call) -> None:
        """One more wants a place."""
        if may_enter(self.pool, call):
            self.pool.enter(call)
            self.held.append(call)
        else:
            self.waiting.append((call, self.pool.request(call)))
        self.look()

    def give_back(self, number: int) -> None:
        """One of them is done."""
        if self.held:
            self.pool.leave(self.held.pop(number % len(self.held)))
        self.look()

    def look(self) -> None:
        """Compare with the state of the pool."""
        self.held += [call for call, waiter in self.waiting if waiter.done()]
        self.waiting = [entry for entry in self.waiting if not entry[1].done()]
        assert len(self.held) <= self.limit
        assert (self.pool in self.saturated) == (self.limit - len(self.held) <= self.limit // 8)
        for call, _ in self.waiting:
            assert not may_enter(self.pool, call), "nobody waits for a free place"


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
                users.asks(Call(str(tenant), 10 * tenant + lane))
        while users.held:
            users.give_back(0)
        assert not users.waiting
        assert users.pool.is_unused

    asyncio.run(run())

"""Slots of an endpoint: reservations, waiting calls and their order."""

from __future__ import annotations

import asyncio
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from delivery.http.pool import EndpointPool

pytestmark = pytest.mark.anyio


class Call:
    """Call of a lane."""

    def __init__(self, tenant: str, lane: int) -> None:
        self.tenant: str | None = tenant
        self.lane: UUID | None = UUID(int=lane)


def admits(pool: EndpointPool, call: Call) -> bool:
    return pool.admits(call.tenant, call.lane)


def fill(pool: EndpointPool, tenant: str, lanes: int, calls: int) -> int:
    """Take as many slots as a tenant gets with a number of calls in each lane."""
    taken = 0
    for _ in range(calls):
        for lane in range(lanes):
            call = Call(tenant, lane)
            if admits(pool, call):
                pool.enter(call)
                taken += 1
    return taken


def test_one_lane_leaves_slots_for_other_lanes() -> None:
    pool = EndpointPool(80, set())
    assert fill(pool, "busy", lanes=1, calls=100) == 70
    assert admits(pool, Call("busy", 999))
    assert admits(pool, Call("quiet", 1_000))


def test_many_lanes_of_one_tenant_leave_slots_for_other_tenants() -> None:
    pool = EndpointPool(80, set())
    assert fill(pool, "busy", lanes=100, calls=10) == 75
    assert not admits(pool, Call("busy", 999))
    assert admits(pool, Call("quiet", 1_000))
    pool.enter(Call("quiet", 1_000))
    assert not admits(pool, Call("quiet", 1_000))


def test_few_slots_are_not_reserved() -> None:
    pool = EndpointPool(7, set())
    assert fill(pool, "busy", lanes=1, calls=10) == 7
    assert not admits(pool, Call("quiet", 1_000))


async def test_waiting_calls_are_served_round_robin() -> None:
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


async def test_a_withdrawn_request_takes_no_slot() -> None:
    pool = EndpointPool(1, set())
    first = Call("t", 1)
    pool.enter(first)
    withdrawn = pool.request(Call("t", 2))
    late = asyncio.create_task(pool.wait(Call("t", 3)))
    await asyncio.sleep(0)
    withdrawn.cancel()
    pool.leave(first)
    # The slot is granted, and the task is cancelled before it runs.
    late.cancel()
    await asyncio.gather(late, return_exceptions=True)
    assert pool.is_unused
    assert admits(pool, Call("t", 4))


steps = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 5), st.booleans()), max_size=120)


class Model:
    """Model of the calls with slots and the waiting calls."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.saturated: set[EndpointPool] = set()
        self.pool = EndpointPool(limit, self.saturated)
        self.running: list[Call] = []
        self.waiting: list[tuple[Call, asyncio.Future[None]]] = []

    def add(self, call: Call) -> None:
        """Add a call."""
        if admits(self.pool, call):
            self.pool.enter(call)
            self.running.append(call)
        else:
            self.waiting.append((call, self.pool.request(call)))
        self.check()

    def end(self, number: int) -> None:
        """End a call."""
        if self.running:
            self.pool.leave(self.running.pop(number % len(self.running)))
        self.check()

    def check(self) -> None:
        """Compare the model with the pool."""
        self.running += [call for call, waiter in self.waiting if waiter.done()]
        self.waiting = [entry for entry in self.waiting if not entry[1].done()]
        assert len(self.running) <= self.limit
        assert (self.pool in self.saturated) == (self.limit - len(self.running) <= self.limit // 8)
        for call, _ in self.waiting:
            assert not admits(self.pool, call), "no call waits for a free slot"


@given(st.integers(1, 40), steps)
def test_slots_never_exceed_the_limit_and_never_idle(
    limit: int, steps: list[tuple[int, int, bool]]
) -> None:
    """The order of requests and releases is arbitrary."""

    async def run() -> None:
        model = Model(limit)
        for tenant, lane, ends in steps:
            if ends:
                model.end(lane)
            else:
                model.add(Call(str(tenant), 10 * tenant + lane))
        while model.running:
            model.end(0)
        assert not model.waiting
        assert model.pool.is_unused

    asyncio.run(run())

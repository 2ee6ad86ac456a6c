"""Long computations take turns and leave half of the time to the rest of the event loop."""

from __future__ import annotations

import asyncio
import time

import pytest

from delivery.engine.runners.computations import Computations
from tests.support.raw_servers import until

pytestmark = pytest.mark.anyio


class Clock:
    """A clock that the test advances."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now


async def test_lanes_take_turns_in_any_order_of_arrival() -> None:
    clock = Clock()
    computations = Computations(clock)
    order: list[str] = []

    async def one(tenant: str) -> None:
        await computations.begin(tenant, tenant)
        clock.now += 0.002
        order.append(tenant)
        computations.end()

    work = asyncio.gather(*(one("busy") for _ in range(5)), *(one("quiet") for _ in range(2)))
    while not work.done():
        await asyncio.sleep(0.001)
        clock.now += 0.002
    await work
    assert order == ["busy", "busy", "quiet", "busy", "quiet", "busy", "busy"]


async def test_a_long_computation_is_followed_by_a_pause_of_the_same_length() -> None:
    clock = Clock()
    computations = Computations(clock)
    await computations.begin("t", 0)
    clock.now += 0.005
    computations.end()
    waiting = asyncio.create_task(computations.begin("t", 1))
    clock.now += 0.0049
    # Timers of the event loop fire meanwhile; the pause is not over yet.
    ends = time.monotonic() + 0.05
    await until(lambda: time.monotonic() > ends)
    assert not waiting.done()
    clock.now += 0.0002
    await until(waiting.done)
    computations.end()


async def test_short_computations_do_not_wait() -> None:
    clock = Clock()
    computations = Computations(clock)
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    counting = asyncio.create_task(count())
    for _ in range(100):
        await computations.begin("t", "t")
        clock.now += 0.0004
        computations.end()
    counting.cancel()
    assert turns == 0


async def test_an_abandoned_turn_passes_to_the_next_computation() -> None:
    clock = Clock()
    computations = Computations(clock)
    await computations.begin("t", 0)
    clock.now += 0.001
    computations.end()
    first = asyncio.create_task(computations.begin("t", 1))
    second = asyncio.create_task(computations.begin("t", 2))
    third = asyncio.create_task(computations.begin("t", 3))
    await asyncio.sleep(0)
    first.cancel()
    clock.now += 0.001
    while not computations._given:
        await asyncio.sleep(0)
    # The call has the turn, and is cancelled before it runs.
    second.cancel()
    await asyncio.gather(first, second, return_exceptions=True)
    await asyncio.wait_for(third, 30)
    computations.end()

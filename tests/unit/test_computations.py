"""Long computations take turns, and leave the event loop to others for half of the time."""

from __future__ import annotations

import asyncio
import time

import pytest

from delivery.engine.runners.computations import Computations

pytestmark = pytest.mark.anyio


def compute(seconds: float) -> None:
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        pass


async def test_lanes_take_turns_in_any_order_of_arrival() -> None:
    computations = Computations()
    order: list[str] = []

    async def one(tenant: str) -> None:
        await computations.begin(tenant, tenant)
        compute(0.002)
        order.append(tenant)
        computations.end()

    await asyncio.gather(*(one("busy") for _ in range(5)), *(one("quiet") for _ in range(2)))
    assert order == ["busy", "busy", "quiet", "busy", "quiet", "busy", "busy"]


async def test_a_long_computation_is_followed_by_a_pause() -> None:
    computations = Computations()
    computed = 0.0

    async def one() -> None:
        nonlocal computed
        await computations.begin("t", "t")
        began = time.monotonic()
        compute(0.005)
        computed += time.monotonic() - began
        computations.end()

    began = time.monotonic()
    await asyncio.gather(*(one() for _ in range(6)))
    # The pause behind the last one is not waited for.
    assert time.monotonic() - began >= computed + 5 * 0.005


async def test_short_computations_are_not_held_up() -> None:
    computations = Computations()
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    counting = asyncio.create_task(count())
    for _ in range(100):
        await computations.begin("t", "t")
        computations.end()
    counting.cancel()
    assert turns == 0


async def test_a_turn_that_is_given_up_goes_to_the_next() -> None:
    computations = Computations()
    await computations.begin("t", 0)
    compute(0.001)
    computations.end()
    first = asyncio.create_task(computations.begin("t", 1))
    second = asyncio.create_task(computations.begin("t", 2))
    third = asyncio.create_task(computations.begin("t", 3))
    await asyncio.sleep(0)
    first.cancel()
    while not computations._given:
        await asyncio.sleep(0)
    # It has the turn, and is cancelled before it can notice.
    second.cancel()
    await asyncio.gather(first, second, return_exceptions=True)
    await asyncio.wait_for(third, 5)
    computations.end()

"""Long work is done a little at a time, in order."""

from __future__ import annotations

import asyncio
import time

import pytest

from delivery.http.tls.handshake_scheduler import HandshakeScheduler

pytestmark = pytest.mark.anyio


async def test_others_have_their_turn_between_steps_that_are_run_in_order() -> None:
    scheduler = HandshakeScheduler()
    ran: list[int] = []
    turns = 0

    def step(number: int) -> None:
        ends = time.perf_counter() + 0.001
        while time.perf_counter() < ends:
            pass
        ran.append(number)

    for number in range(40):
        scheduler.add("h", lambda number=number: step(number))  # type: ignore[misc]
    while len(ran) < 40:
        await asyncio.sleep(0)
        turns += 1
    assert ran == list(range(40))
    # About two milliseconds of work in each.
    assert turns >= 15


async def test_a_step_may_ask_for_another() -> None:
    scheduler = HandshakeScheduler()
    done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    scheduler.add("h", lambda: scheduler.add("h", lambda: done.set_result(None)))
    await asyncio.wait_for(done, 5)
    scheduler.add("h", lambda: None)


async def test_hosts_take_turns() -> None:
    scheduler = HandshakeScheduler()
    ran: list[str] = []
    for host in ("a", "a", "a", "b", "b"):
        scheduler.add(host, lambda host=host: ran.append(host))  # type: ignore[misc]
    while len(ran) < 5:
        await asyncio.sleep(0)
    assert ran == ["a", "b", "a", "b", "a"]

"""The handshake scheduler runs steps in order, spread over turns of the event loop."""

from __future__ import annotations

import asyncio
import time

import pytest

from delivery.http.tls.handshake_scheduler import HandshakeScheduler

pytestmark = pytest.mark.anyio


async def test_steps_run_in_order_over_several_turns_of_the_event_loop() -> None:
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
    # Each turn has about 2 ms of work.
    assert turns >= 15


async def test_a_step_may_add_another() -> None:
    scheduler = HandshakeScheduler()
    done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    scheduler.add("h", lambda: scheduler.add("h", lambda: done.set_result(None)))
    await asyncio.wait_for(done, 30)
    scheduler.add("h", lambda: None)


async def test_hosts_are_served_round_robin() -> None:
    scheduler = HandshakeScheduler()
    ran: list[str] = []
    for host in ("a", "a", "a", "b", "b"):
        scheduler.add(host, lambda host=host: ran.append(host))  # type: ignore[misc]
    while len(ran) < 5:
        await asyncio.sleep(0)
    assert ran == ["a", "b", "a", "b", "a"]

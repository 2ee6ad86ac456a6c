"""A worker process for benches: `python -m bench.worker URL SETTINGS`, until SIGTERM.

It prints `ready` when it is connected, starts when it reads `go`, and at its end prints its
measurements as one line of JSON.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from typing import TYPE_CHECKING, Any, Final

import uvloop

import delivery

# Imported before the timing starts: the library imports it only when a worker starts.
import delivery.engine.worker
from bench.run import cpu_seconds
from delivery.store import queue

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

_TICK: Final = 0.005


def _timed(function: Callable[..., Awaitable[Any]], durations: list[float]) -> Any:
    async def wrapper(*arguments: Any, **named: Any) -> Any:
        began = time.perf_counter()
        result = await function(*arguments, **named)
        durations.append(time.perf_counter() - began)
        return result

    return wrapper


async def _tick(lateness: list[float]) -> None:
    """Record the lateness of the event loop for calls scheduled at a certain time."""
    loop = asyncio.get_running_loop()
    while True:
        due = loop.time() + _TICK
        await asyncio.sleep(_TICK)
        lateness.append(loop.time() - due)


async def _work(database_url: str, settings: dict[str, Any]) -> dict[str, Any]:
    claims: list[float] = []
    lateness: list[float] = []
    # The dispatcher looks the function up in its module each time, so this program can time it and
    # the engine needs no code for benches.
    queue.claim = _timed(queue.claim, claims)
    async with delivery.connect(
        database_url, http={"allowed_networks": ["127.0.0.0/8"]}, worker=settings
    ) as engine:
        print("ready", flush=True)
        await asyncio.to_thread(sys.stdin.readline)
        ticking = asyncio.create_task(_tick(lateness))
        before = cpu_seconds()
        await engine.run()
        cpu = cpu_seconds() - before
        ticking.cancel()
    return {"cpu_seconds": cpu, "claims": claims, "lateness": lateness}


if __name__ == "__main__":
    print(json.dumps(uvloop.run(_work(sys.argv[1], json.loads(sys.argv[2])))))

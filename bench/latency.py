"""Time from just before `trigger` to the request's arrival, every 20 ms, on an idle engine."""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any, Final

from bench.arrivals import Arrivals, listening
from bench.databases import SECRET, fresh_database, opened, server, until
from bench.figures import percentile, spread_ms
from bench.run import BenchFailed, worker
from delivery.settings import WorkerSettings

if TYPE_CHECKING:
    import argparse

__all__ = ["add_arguments", "measure"]

_INTERVAL: Final = 0.02
_P50: Final = 3.0
_P99: Final = 6.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command-line options of this bench."""
    parser.add_argument("--seconds", type=float, default=20.0, help="duration of each run (20)")


async def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Measure one process, two processes, and two processes without notifications."""
    figures: dict[str, Any] = {}
    async with server(options.database_url) as url:
        same = await _run(url, options.seconds, apart=False, notifications=True)
        apart = await _run(url, options.seconds, apart=True, notifications=True)
        polling = await _run(url, options.seconds, apart=True, notifications=False)
    figures |= spread_ms("same_process", same)
    figures |= spread_ms("other_process", apart)
    figures |= spread_ms("without_notifications", polling)
    # The longest pause of polling, and the time that the engine may need after it.
    longest = WorkerSettings().poll_max * 1000 + 10
    reached = {
        "same_process_reached": _quick(same),
        "other_process_reached": _quick(apart),
        "without_notifications_reached": percentile(polling, 99) * 1000 <= longest,
    }
    return {
        **figures,
        "target": f"p50 <= {_P50:g} ms, p99 <= {_P99:g} ms;"
        f" without notifications p99 <= {longest:g} ms",
        **reached,
        "reached": all(reached.values()),
        "triggers": len(same),
    }


def _quick(delays: list[float]) -> bool:
    return percentile(delays, 50) * 1000 <= _P50 and percentile(delays, 99) * 1000 <= _P99


async def _run(server_url: str, seconds: float, *, apart: bool, notifications: bool) -> list[float]:
    async with AsyncExitStack() as stack:
        arrivals = await stack.enter_async_context(listening())
        url = await stack.enter_async_context(fresh_database(server_url))
        engine = await stack.enter_async_context(opened(url, notifications=notifications))
        await engine.reactions.create(name="latency", url=arrivals.url, secret=SECRET)
        if apart:
            await stack.enter_async_context(worker(url, notifications=notifications))
        else:
            await stack.enter_async_context(engine.workers())
        await _trigger_for(engine.trigger, arrivals, 1.0)
        arrivals.delays.clear()
        count = await _trigger_for(engine.trigger, arrivals, seconds)
        if len(arrivals.delays) != count:
            message = f"{len(arrivals.delays)} of {count} triggers arrived"
            raise BenchFailed(message)
        return arrivals.delays


async def _trigger_for(trigger: Any, arrivals: Arrivals, seconds: float) -> int:
    """Trigger at even intervals and wait until all requests have arrived."""
    before = len(arrivals.delays)
    count = int(seconds / _INTERVAL)
    due = time.monotonic()
    for _ in range(count):
        due += _INTERVAL
        await asyncio.sleep(max(due - time.monotonic(), 0.0))
        await trigger("latency", {"sent": time.monotonic()})

    async def arrived() -> bool:
        return len(arrivals.delays) >= before + count

    await until(arrived, timeout=10)
    return count

"""Delay of a quiet tenant with one job a second while a busy tenant has 500,000 jobs."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any, Final

from bench.arrivals import listening
from bench.databases import SECRET, enqueue, fresh_database, opened, server
from bench.figures import percentile, spread_ms
from bench.receivers import receiver
from bench.run import BenchFailed, worker
from delivery.store.driver.connection import connect

if TYPE_CHECKING:
    import argparse

__all__ = ["add_arguments", "measure"]

_TARGET: Final = 100.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command-line options of this bench."""
    parser.add_argument(
        "--jobs", type=int, default=500_000, help="jobs of the busy tenant (500000)"
    )
    parser.add_argument("--seconds", type=int, default=25, help="jobs of the quiet tenant (25)")


async def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Measure the delay while one worker process drains the busy tenant's jobs."""
    with receiver() as (busy_url, kind):
        async with server(options.database_url) as server_url, fresh_database(server_url) as url:
            await enqueue(url, busy_url, options.jobs)
            async with listening() as arrivals, opened(url) as engine, worker(url):
                await engine.reactions.create(
                    name="quiet", tenant_id="quiet", url=arrivals.url, secret=SECRET
                )
                # The first trigger also reads the tenant's reactions, here and in the worker.
                for number in range(options.seconds + 1):
                    await asyncio.sleep(1.0)
                    await engine.trigger(
                        "quiet", {"sent": time.monotonic(), "number": number}, tenant_id="quiet"
                    )
                await asyncio.sleep(1.0)
            waiting = await _waiting(url)
    if len(arrivals.delays) != options.seconds + 1:
        message = f"{len(arrivals.delays)} of {options.seconds + 1} quiet jobs arrived"
        raise BenchFailed(message)
    first, *delays = arrivals.delays
    if not waiting:
        message = "all jobs of the busy tenant were done before the end; raise --jobs"
        raise BenchFailed(message)
    if options.jobs - waiting < options.jobs // 20:
        message = f"only {options.jobs - waiting} of {options.jobs} busy jobs were delivered"
        raise BenchFailed(message)
    return {
        **spread_ms("start_delay", delays),
        "first_start_delay_ms": round(first * 1000, 2),
        "target": f"p99 <= {_TARGET:g} ms",
        "reached": percentile(delays, 99) * 1000 <= _TARGET,
        "busy_jobs": options.jobs,
        "busy_jobs_left": waiting,
        "busy_per_s": round((options.jobs - waiting) / (options.seconds + 2)),
        "receiver": kind,
    }


async def _waiting(url: str) -> int:
    connection = await connect(url, 10.0)
    try:
        count: int = await connection.fetchval("SELECT count(*) FROM delivery.waiting_jobs")
    finally:
        await connection.close()
    return count

"""Claims at 2,000 jobs per second while another session holds a snapshot open for a minute."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

from bench.databases import PAYLOAD, REACTIONS, enqueue, fresh_database, left, opened, server, until
from bench.figures import percentile, spread_ms
from bench.receivers import receiver
from bench.run import BenchFailed, worker
from delivery import TriggerRequest
from delivery.store.driver.connection import connect

if TYPE_CHECKING:
    import argparse
    from collections.abc import AsyncIterator

    from delivery import Engine

__all__ = ["add_arguments", "measure"]

_TARGET: Final = 15.0
_INTERVAL: Final = 0.02
_KEPT: Final = 0.98


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command-line options of this bench."""
    parser.add_argument("--seconds", type=float, default=60.0, help="duration of each part (60)")
    parser.add_argument("--rate", type=int, default=2_000, help="jobs per second (2000)")


async def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Measure without the snapshot, then with it, each on a fresh database."""
    with receiver() as (receiver_url, kind):
        async with server(options.database_url) as url:
            free, late, offered = await _run(url, receiver_url, options, hold=False)
            held, late_held, offered_held = await _run(url, receiver_url, options, hold=True)
    return {
        **spread_ms("claim", free),
        **spread_ms("claim_with_snapshot", held),
        "offered_per_s": round(offered),
        "offered_per_s_with_snapshot": round(offered_held),
        "seconds_behind": round(late, 2),
        "seconds_behind_with_snapshot": round(late_held, 2),
        "target": f"claim p99 <= {_TARGET:g} ms, and no growing delay",
        # A producer that is too slow would mask a worker that is too slow.
        "reached": percentile(held, 99) * 1000 <= _TARGET
        and late_held <= late + 0.5
        and offered_held >= _KEPT * options.rate,
        "jobs_per_s": options.rate,
        "seconds": options.seconds,
        "receiver": kind,
    }


async def _run(
    server_url: str, receiver_url: str, options: argparse.Namespace, *, hold: bool
) -> tuple[list[float], float, float]:
    """Return the durations of claims, the delay of the last delivery, and the rate."""
    async with fresh_database(server_url) as url:
        await enqueue(url, receiver_url, 0)
        jobs = int(options.seconds / _INTERVAL) * int(options.rate * _INTERVAL)
        watch = await connect(url, 10.0)
        async with _snapshot(url, hold=hold), worker(url) as running, opened(url) as engine:
            began = time.perf_counter()
            await _offer(engine, options.rate, options.seconds)
            offered = time.perf_counter()

            async def done() -> bool:
                return not await left(watch)

            await until(done, timeout=120)
            late = time.perf_counter() - offered
            figures = await running.stop()
        logged = await watch.fetchval("SELECT count(*) FROM delivery.delivery_logs")
        await watch.close()
    if logged != jobs:
        message = f"{logged} of {jobs} jobs were delivered"
        raise BenchFailed(message)
    if not figures["claims"]:
        message = (
            "no claim was timed: the dispatcher no longer looks `queue.claim` up in its module"
        )
        raise BenchFailed(message)
    return figures["claims"], late, jobs / (offered - began)


@asynccontextmanager
async def _snapshot(url: str, *, hold: bool) -> AsyncIterator[None]:
    """Hold a snapshot, so that vacuum cannot remove rows that are deleted meanwhile."""
    if not hold:
        yield
        return
    connection = await connect(url, 10.0)
    try:
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            await connection.fetchval("SELECT count(*) FROM delivery.waiting_jobs")
            yield
    finally:
        await connection.close()


async def _offer(engine: Engine, rate: int, seconds: float) -> None:
    """Trigger at an even rate."""
    each = int(rate * _INTERVAL)
    number = 0
    due = time.monotonic()
    for _ in range(int(seconds / _INTERVAL)):
        due += _INTERVAL
        await asyncio.sleep(max(due - time.monotonic(), 0.0))
        await engine.trigger_many(
            (
                TriggerRequest(f"bench.{each_number % REACTIONS}", PAYLOAD)
                for each_number in range(number, number + each)
            ),
            tenant_id="bench",
        )
        number += each

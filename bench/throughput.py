"""20,000 signed deliveries of 1 KB over 100 reactions, floor and engine alternately."""

from __future__ import annotations

import time
from contextlib import AsyncExitStack
from statistics import median
from typing import TYPE_CHECKING, Any, Final

from bench.databases import checkpoint, enqueue, fresh_database, left, server, until
from bench.figures import median_of
from bench.receivers import receiver
from bench.run import BenchFailed, measured, worker
from delivery.store.driver.connection import connect

if TYPE_CHECKING:
    import argparse

__all__ = ["add_arguments", "measure", "run_once"]

_TARGET: Final = 0.75

_UNDONE: Final = """
SELECT
    (SELECT count(*) FROM delivery.jobs WHERE status <> 'succeeded')
    + abs((SELECT count(*) FROM delivery.jobs)
        - (SELECT count(*) FROM delivery.delivery_logs WHERE outcome = 'succeeded'))
    + abs((SELECT count(*) FROM delivery.jobs) - $1)
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command-line options of this bench."""
    parser.add_argument("--jobs", type=int, default=20_000, help="deliveries a run (20000)")
    parser.add_argument("--pairs", type=int, default=9, help="runs each of floor and engine (9)")
    parser.add_argument(
        "--processes", type=int, default=2, help="concurrent workers, compared with one (2)"
    )


async def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Run floor and engine alternately after a warm-up run each; return medians and their ratio."""
    floors: list[dict[str, float]] = []
    engines: list[dict[str, float]] = []
    ones: list[float] = []
    several: list[float] = []
    with receiver() as (receiver_url, kind):
        async with server(options.database_url) as url:
            for number in range(options.pairs + 1):
                floor = await run_once("bench.floor", url, receiver_url, options.jobs)
                engine = await run_once("bench.engine", url, receiver_url, options.jobs)
                if number:
                    floors.append(floor)
                    engines.append(engine)
                if number % 2:
                    ones.append(await _processes(1, url, receiver_url, options.jobs))
                    several.append(
                        await _processes(options.processes, url, receiver_url, options.jobs)
                    )
    ratios = [
        engine["per_s"] / floor["per_s"] for floor, engine in zip(floors, engines, strict=True)
    ]
    ratio = round(median(ratios), 3)
    return {
        "floor_per_s": round(median_of(floors, "per_s")),
        "engine_per_s": round(median_of(engines, "per_s")),
        "ratio": ratio,
        "lowest_ratio": round(min(ratios), 3),
        "highest_ratio": round(max(ratios), 3),
        "target": f"ratio >= {_TARGET}",
        "reached": ratio >= _TARGET,
        # Both are seen from outside: they compare with each other, not with `engine_per_s`.
        "engine_1_process_per_s": round(median(ones)),
        f"engine_{options.processes}_processes_per_s": round(median(several)),
        "python_us_per_delivery": round(median_of(engines, "cpu_us"), 1),
        "floor_python_us_per_delivery": round(median_of(floors, "cpu_us"), 1),
        "wal_bytes_per_job": round(median_of(engines, "wal_bytes")),
        "jobs": options.jobs,
        "pairs": options.pairs,
        "receiver": kind,
    }


async def run_once(
    module: str, server_url: str, receiver_url: str, jobs: int, **environment: str
) -> dict[str, float]:
    """Run a program that delivers all jobs, on a separate database.

    Raises:
        BenchFailed: if a job has not succeeded with exactly one log row.
    """
    async with fresh_database(server_url) as url:
        await enqueue(url, receiver_url, jobs)
        return await drain(module, url, jobs, **environment)


async def drain(module: str, url: str, jobs: int, **environment: str) -> dict[str, float]:
    """Run a program that delivers all jobs in a database; see `run_once`."""
    await checkpoint(url)
    watch = await connect(url, 10.0)
    try:
        before = await watch.fetchval("SELECT pg_current_wal_insert_lsn()")
        figures = await measured(module, url, jobs, **environment)
        wal = await watch.fetchval(
            "SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), $1)", before
        )
        undone = await watch.fetchval(_UNDONE, jobs)
    finally:
        await watch.close()
    if undone:
        message = f"{module} left {undone} jobs or log rows wrong"
        raise BenchFailed(message)
    return {
        "per_s": jobs / figures["seconds"],
        "cpu_us": figures["cpu_seconds"] / jobs * 1e6,
        "wal_bytes": float(wal) / jobs,
    }


async def _processes(count: int, server_url: str, receiver_url: str, jobs: int) -> float:
    """Return deliveries per second of several worker processes, from start to last result."""
    async with fresh_database(server_url) as url, AsyncExitStack() as stack:
        await enqueue(url, receiver_url, jobs)
        await checkpoint(url)
        workers = [await stack.enter_async_context(worker(url, start=False)) for _ in range(count)]
        watch = await connect(url, 10.0)
        began = time.perf_counter()
        for each in workers:
            await each.start()

        async def done() -> bool:
            return not await left(watch)

        await until(done, timeout=300)
        seconds = time.perf_counter() - began
        undone = await watch.fetchval(_UNDONE, jobs)
        await watch.close()
        for each in workers:
            await each.stop()
    if undone:
        message = f"{count} processes left {undone} jobs or log rows wrong"
        raise BenchFailed(message)
    return jobs / seconds

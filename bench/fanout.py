"""Jobs written per second by many concurrent triggers, and by triggers with many reactions."""

from __future__ import annotations

import asyncio
import time
from statistics import median
from typing import TYPE_CHECKING, Any, Final

from bench.databases import PAYLOAD, checkpoint, fresh_database, opened, server
from bench.run import BenchFailed, cpu_seconds
from delivery import TriggerRequest
from delivery.store.driver.connection import connect

if TYPE_CHECKING:
    import argparse
    from collections.abc import Awaitable, Callable

    from delivery import Engine

__all__ = ["add_arguments", "measure"]

_TARGET: Final = 50_000
_URL: Final = "http://127.0.0.1:9/"
_TRIGGERS: Final = 2_000
"""Number of triggers in each call of `trigger_many`."""
_SINGLE: Final = 2_000
_SINGLE_AT_ONCE: Final = 10_000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command-line options of this bench."""
    parser.add_argument(
        "--jobs", type=int, default=100_000, help="jobs written for each figure (100000)"
    )
    parser.add_argument("--rounds", type=int, default=3, help="runs of each (3)")


async def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Measure each way to write jobs several times, without a worker; return medians."""
    jobs = options.jobs
    runs: dict[str, list[tuple[float, float]]] = {}
    async with (
        server(options.database_url) as server_url,
        fresh_database(server_url) as url,
        opened(url) as engine,
    ):
        await _make_reactions(engine)
        manners: tuple[tuple[str, Callable[[], Awaitable[object]], int, int], ...] = (
            ("trigger_many", lambda: _many(engine, "one"), _TRIGGERS, jobs),
            ("trigger_many_of_10", lambda: _many(engine, "ten"), _TRIGGERS * 10, jobs),
            ("one_trigger_of_1000", lambda: engine.trigger("thousand", PAYLOAD), 1_000, jobs),
            ("single_trigger", lambda: engine.trigger("one", PAYLOAD), 1, _SINGLE),
            ("single_trigger_20_at_once", lambda: _at_once(engine), 20, _SINGLE_AT_ONCE),
        )
        for _ in range(options.rounds):
            for name, write, each, number in manners:
                runs.setdefault(name, []).append(await _rate(url, write, each, number))
    figures: dict[str, Any] = {}
    for name, measured in runs.items():
        figures[f"{name}_jobs_per_s"] = round(median(per_s for per_s, _ in measured))
        figures[f"{name}_cpu_us_per_job"] = round(median(cpu_us for _, cpu_us in measured), 1)
    least = min(figures["trigger_many_jobs_per_s"], figures["one_trigger_of_1000_jobs_per_s"])
    return {
        **figures,
        "target": f"trigger_many and one trigger of 1,000 >= {_TARGET:,} jobs/s",
        "reached": least >= _TARGET,
        "jobs": jobs,
        "rounds": options.rounds,
    }


async def _make_reactions(engine: Engine) -> None:
    for event_type, count in (("one", 1), ("ten", 10), ("thousand", 1_000)):
        for number in range(count):
            await engine.reactions.create(
                name=f"{event_type} {number}", event_types=[event_type], url=_URL
            )


async def _many(engine: Engine, event_type: str) -> None:
    await engine.trigger_many(TriggerRequest(event_type, PAYLOAD) for _ in range(_TRIGGERS))


async def _at_once(engine: Engine) -> None:
    await asyncio.gather(*(engine.trigger("one", PAYLOAD) for _ in range(20)))


async def _rate(
    url: str, write: Callable[[], Awaitable[object]], each: int, jobs: int
) -> tuple[float, float]:
    """Return jobs per second, and microseconds of this process's CPU per job.

    Raises:
        BenchFailed: if a call does not write `each` jobs.
    """
    await write()
    before_all = await _count_jobs(url)
    await checkpoint(url)
    times = max(jobs // each, 1)
    before, began = cpu_seconds(), time.perf_counter()
    for _ in range(times):
        await write()
    seconds, cpu = time.perf_counter() - began, cpu_seconds() - before
    written = await _count_jobs(url) - before_all
    if written != times * each:
        message = f"{written} of {times * each} jobs were written"
        raise BenchFailed(message)
    return written / seconds, cpu / written * 1e6


async def _count_jobs(url: str) -> int:
    connection = await connect(url, 10.0)
    try:
        count: int = await connection.fetchval("SELECT count(*) FROM delivery.jobs")
        return count
    finally:
        await connection.close()

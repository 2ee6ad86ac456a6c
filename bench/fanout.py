"""Jobs written a second, by many triggers at once and by triggers with many reactions."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any, Final

from bench.databases import PAYLOAD, fresh_database, opened, server
from bench.run import cpu_seconds
from delivery import TriggerRequest

if TYPE_CHECKING:
    import argparse
    from collections.abc import Awaitable, Callable

    from delivery import Engine

__all__ = ["add_arguments", "measure"]

_TARGET: Final = 50_000
_URL: Final = "http://127.0.0.1:9/"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What can be said of it on the command line."""
    parser.add_argument(
        "--jobs", type=int, default=100_000, help="written for each figure (100000)"
    )


async def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Write them, without a worker."""
    figures: dict[str, Any] = {}
    async with (
        server(options.database_url) as server_url,
        fresh_database(server_url) as url,
        opened(url) as engine,
    ):
        await _make_reactions(engine)
        many = await _rate(lambda: _many(engine, "one"), 2_000, options.jobs)
        figures["trigger_many_jobs_per_s"], figures["trigger_many_cpu_us"] = many
        tens = await _rate(lambda: _many(engine, "ten", 500), 5_000, options.jobs)
        figures["trigger_many_of_10_jobs_per_s"], _ = tens
        wide = await _rate(lambda: engine.trigger("thousand", PAYLOAD), 1_000, options.jobs)
        figures["one_trigger_of_1000_jobs_per_s"], figures["one_trigger_cpu_us"] = wide
        single = await _rate(lambda: engine.trigger("one", PAYLOAD), 1, 2_000)
        figures["single_triggers_per_s"], _ = single
        twenty = await _rate(lambda: _at_once(engine), 20, 10_000)
        figures["single_triggers_20_at_once_per_s"], _ = twenty
    least = min(figures["trigger_many_jobs_per_s"], figures["one_trigger_of_1000_jobs_per_s"])
    return {
        **figures,
        "target": f"trigger_many and one trigger of 1,000 >= {_TARGET:,} jobs/s",
        "reached": least >= _TARGET,
        "jobs": options.jobs,
    }


async def _make_reactions(engine: Engine) -> None:
    for event_type, count in (("one", 1), ("ten", 10), ("thousand", 1_000)):
        for number in range(count):
            await engine.reactions.create(
                name=f"{event_type} {number}", event_types=[event_type], url=_URL
            )


async def _many(engine: Engine, event_type: str, count: int = 2_000) -> None:
    await engine.trigger_many(TriggerRequest(event_type, PAYLOAD) for _ in range(count))


async def _at_once(engine: Engine) -> None:
    await asyncio.gather(*(engine.trigger("one", PAYLOAD) for _ in range(20)))


async def _rate(write: Callable[[], Awaitable[object]], each: int, jobs: int) -> tuple[int, float]:
    """Jobs a second, and microseconds of this process's CPU for each."""
    await write()
    times = max(jobs // each, 1)
    before, began = cpu_seconds(), time.perf_counter()
    for _ in range(times):
        await write()
    seconds, cpu = time.perf_counter() - began, cpu_seconds() - before
    return round(times * each / seconds), round(cpu / times / each * 1e6, 1)

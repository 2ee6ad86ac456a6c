"""Deliveries per second with 20,000 and with 1,000,000 jobs waiting, including future jobs."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from statistics import median
from typing import TYPE_CHECKING, Any, Final

from bench.databases import checkpoint, count_logs, enqueue, fresh_database, server, until
from bench.receivers import receiver
from bench.run import worker
from delivery.store.driver.connection import connect

if TYPE_CHECKING:
    import argparse

__all__ = ["add_arguments", "measure"]

_TARGET: Final = 0.9


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command-line options of this bench."""
    parser.add_argument("--few", type=int, default=20_000, help="jobs in the small backlog (20000)")
    parser.add_argument(
        "--many",
        type=int,
        default=1_000_000,
        help="jobs in the large one, half of them due (1000000)",
    )
    parser.add_argument("--rounds", type=int, default=3, help="runs of each (3)")


async def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Measure both backlogs alternately; a run covers 90 % of the small backlog."""
    deliveries = options.few * 9 // 10
    few: list[float] = []
    many: list[float] = []
    with receiver() as (receiver_url, kind):
        async with (
            server(options.database_url) as server_url,
            fresh_database(server_url) as small,
            fresh_database(server_url) as large,
        ):
            await enqueue(small, receiver_url, options.few)
            await enqueue(large, receiver_url, options.many // 2)
            later = datetime.now(UTC) + timedelta(days=1)
            await enqueue(large, receiver_url, options.many - options.many // 2, run_at=later)
            for _ in range(options.rounds):
                few.append(await _rate(server_url, small, deliveries))
                many.append(await _rate(server_url, large, deliveries))
    ratio = round(median(of_many / of_few for of_few, of_many in zip(few, many, strict=True)), 3)
    return {
        "few_per_s": round(median(few)),
        "many_per_s": round(median(many)),
        "ratio": ratio,
        "target": f"ratio >= {_TARGET}",
        "reached": ratio >= _TARGET,
        "few": options.few,
        "many": options.many,
        "rounds": options.rounds,
        "receiver": kind,
    }


async def _rate(server_url: str, template: str, deliveries: int) -> float:
    """Return deliveries per second for the first `deliveries` jobs in a copy of a database."""
    done, seconds = 0, 0.0
    async with fresh_database(server_url, template) as url:
        await checkpoint(url)
        watch = await connect(url, 10.0)
        try:
            async with worker(url, start=False) as running:
                began = time.perf_counter()
                await running.start()

                async def enough() -> bool:
                    nonlocal done, seconds
                    # The count is the number of rows when the statement began.
                    seconds = time.perf_counter() - began
                    done = await count_logs(watch)
                    return done >= deliveries

                await until(enough, timeout=300, pause=0.02)
                await running.stop()
            return done / seconds
        finally:
            await watch.close()

"""20,000 signed deliveries of 1 KB over 100 reactions, floor and engine in turns."""

from __future__ import annotations

from statistics import median
from typing import Any

from bench.databases import enqueue, fresh_database, server
from bench.receivers import receiver
from bench.run import measured
from delivery.store.connection import connect

__all__ = ["BenchFailed", "measure", "measure_floor"]

_UNDONE = """
SELECT
    (SELECT count(*) FROM delivery.jobs WHERE status <> 'succeeded')
    + (SELECT count(*) FROM delivery.jobs)
    - (SELECT count(*) FROM delivery.delivery_logs WHERE outcome = 'succeeded')
"""


class BenchFailed(Exception):
    """The work was not done as it should have been, so its speed means nothing."""


async def measure(database_url: str | None, jobs: int, pairs: int) -> dict[str, Any]:
    """Run floor and engine alternately after one of each to warm up; medians, and their ratio."""
    floors: list[dict[str, float]] = []
    engines: list[dict[str, float]] = []
    with receiver() as (receiver_url, kind):
        async with server(database_url) as url:
            for number in range(pairs + 1):
                floor = await _run("bench.floor", url, receiver_url, jobs)
                engine = await _run("bench.engine", url, receiver_url, jobs)
                if number:
                    floors.append(floor)
                    engines.append(engine)

    def middle(runs: list[dict[str, float]], name: str) -> float:
        return median(run[name] for run in runs)

    ratios = [
        engine["per_s"] / floor["per_s"] for floor, engine in zip(floors, engines, strict=True)
    ]
    return {
        "floor_per_s": round(middle(floors, "per_s")),
        "engine_per_s": round(middle(engines, "per_s")),
        "ratio": round(median(ratios), 3),
        "python_us_per_delivery": round(middle(engines, "cpu_us"), 1),
        "floor_python_us_per_delivery": round(middle(floors, "cpu_us"), 1),
        "wal_bytes_per_job": round(middle(engines, "wal_bytes")),
        "jobs": jobs,
        "pairs": pairs,
        "receiver": kind,
    }


async def measure_floor(database_url: str | None, jobs: int) -> dict[str, Any]:
    """Run the floor once."""
    with receiver() as (receiver_url, kind):
        async with server(database_url) as url:
            figures = await _run("bench.floor", url, receiver_url, jobs)
    return {
        "floor_per_s": round(figures["per_s"]),
        "floor_python_us_per_delivery": round(figures["cpu_us"], 1),
        "wal_bytes_per_job": round(figures["wal_bytes"]),
        "jobs": jobs,
        "receiver": kind,
    }


async def _run(module: str, server_url: str, receiver_url: str, jobs: int) -> dict[str, float]:
    async with fresh_database(server_url) as url:
        await enqueue(url, receiver_url, jobs)
        watch = await connect(url, 10.0)
        try:
            before = await watch.fetchval("SELECT pg_current_wal_insert_lsn()")
            figures = await measured(module, url, jobs)
            wal = await watch.fetchval(
                "SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), $1)", before
            )
            undone = await watch.fetchval(_UNDONE)
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

"""One run of the floor program without the engine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bench.databases import server
from bench.receivers import receiver
from bench.throughput import run_once

if TYPE_CHECKING:
    import argparse

__all__ = ["add_arguments", "measure"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command-line options of this bench."""
    parser.add_argument("--jobs", type=int, default=20_000, help="deliveries (20000)")


async def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Run the floor program once."""
    with receiver() as (receiver_url, kind):
        async with server(options.database_url) as url:
            figures = await run_once("bench.floor", url, receiver_url, options.jobs)
    return {
        "floor_per_s": round(figures["per_s"]),
        "floor_python_us_per_delivery": round(figures["cpu_us"], 1),
        "wal_bytes_per_job": round(figures["wal_bytes"]),
        "jobs": options.jobs,
        "receiver": kind,
    }

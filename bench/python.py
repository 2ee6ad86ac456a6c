"""CPU time a delivery costs in the worker process, beside the floor's, and where it goes."""

from __future__ import annotations

import pstats
import tempfile
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from bench.databases import server
from bench.figures import median_of
from bench.receivers import receiver
from bench.throughput import run_once

if TYPE_CHECKING:
    import argparse

__all__ = ["add_arguments", "measure"]

_TARGET: Final = 1.5
_GROUPS: Final = ("delivery/http", "delivery/engine", "delivery/message", "delivery/policy")
_LISTED: Final = 12


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What can be said of it on the command line."""
    parser.add_argument("--jobs", type=int, default=20_000, help="deliveries a run (20000)")
    parser.add_argument("--pairs", type=int, default=5, help="runs of floor and engine each (5)")


async def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Measure floor and engine in turns, then the engine once more under a profiler."""
    floors: list[dict[str, float]] = []
    engines: list[dict[str, float]] = []
    with receiver() as (receiver_url, kind), tempfile.TemporaryDirectory() as directory:
        async with server(options.database_url) as url:
            for _ in range(options.pairs):
                floors.append(await run_once("bench.floor", url, receiver_url, options.jobs))
                engines.append(await run_once("bench.engine", url, receiver_url, options.jobs))
            file = Path(directory, "profile")
            await run_once(
                "bench.engine",
                url,
                receiver_url,
                options.jobs,
                DELIVERY_BENCH_PROFILE=str(file),
            )
            profile = pstats.Stats(str(file))
    engine, floor = median_of(engines, "cpu_us"), median_of(floors, "cpu_us")
    ratio = round(engine / floor, 2)
    return {
        "engine_us_per_delivery": round(engine, 1),
        "floor_us_per_delivery": round(floor, 1),
        "ratio": ratio,
        "target": f"ratio <= {_TARGET}",
        "reached": ratio <= _TARGET,
        **_where(profile),
        "jobs": options.jobs,
        "pairs": options.pairs,
        "receiver": kind,
    }


def _where(profile: pstats.Stats) -> dict[str, Any]:
    """The shares of the time by part of the program, and the functions that take most."""
    shares: Counter[str] = Counter()
    functions: list[tuple[float, str]] = []
    for (file, _, name), (_, _, own, _, _) in profile.stats.items():  # type: ignore[attr-defined]
        shares[_group(file)] += own
        functions.append((own, f"{Path(file).name}:{name}" if file != "~" else name))
    total = sum(shares.values())
    figures: dict[str, Any] = {
        f"share_{group}": round(own / total, 3) for group, own in shares.most_common()
    }
    largest = sorted(functions, reverse=True)[:_LISTED]
    figures["largest"] = ", ".join(f"{name} {own / total:.0%}" for own, name in largest)
    return figures


def _group(file: str) -> str:
    for group in _GROUPS:
        if group in file:
            return group.removeprefix("delivery/")
    if "asyncpg" in file or "delivery/store" in file:
        return "store"
    return "interpreter_and_loop" if file in {"~", "<string>"} else "other"

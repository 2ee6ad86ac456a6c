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
_LISTED: Final = 15
_NOWHERE: Final = ("~", "<string>")
"""What the profiler says for the file of functions in C, and of those made at run time."""
_GROUPS: Final = {
    "http": ("delivery/http/",),
    "engine": ("delivery/engine/",),
    "message": ("delivery/message/",),
    "policy": ("delivery/policy/",),
    "store": ("delivery/store/", "/asyncpg/"),
    "loop": ("/asyncio/", "/uvloop/"),
}
"""Parts of the program, by what the paths of their files contain."""


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
        **_where(profile, listed=0 if options.json else _LISTED),
        "jobs": options.jobs,
        "pairs": options.pairs,
        "receiver": kind,
    }


def _where(profile: pstats.Stats, *, listed: int) -> dict[str, Any]:
    """The shares of the time by part of the program, and so many functions that take most.

    Time in functions written in C counts for what called them; called by nothing that the profiler
    knows, it is the loop's.
    """
    shares: Counter[str] = Counter()
    functions: list[tuple[float, str]] = []
    for (file, _, name), (_, _, own, _, callers) in profile.stats.items():  # type: ignore[attr-defined]
        functions.append((own, name if file in _NOWHERE else f"{_shown(file)}:{name}"))
        if file in _NOWHERE:
            for (caller, _, _), (_, _, of_caller, _) in callers.items():
                shares[_group(caller)] += of_caller
                shares[_group(file)] -= of_caller
        shares[_group(file)] += own
    total = sum(shares.values())
    figures: dict[str, Any] = {
        f"share_{group}": round(own / total, 3) for group, own in shares.most_common()
    }
    if listed:
        largest = sorted(functions, reverse=True)[:listed]
        figures["largest"] = "".join(f"\n  {own / total:6.1%} {name}" for own, name in largest)
    return figures


def _group(file: str) -> str:
    for group, paths in _GROUPS.items():
        if any(path in file for path in paths):
            return group
    return "loop" if file in _NOWHERE else "other"


def _shown(file: str) -> str:
    return "/".join(Path(file).parts[-2:])

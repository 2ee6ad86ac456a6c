"""CPU time of a delivery in the worker process, compared with the floor, and its distribution."""

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
"""File names that the profiler reports for C functions and for functions made at run time."""
_GROUPS: Final = {
    "http": ("delivery/http/",),
    "engine": ("delivery/engine/",),
    "message": ("delivery/message/",),
    "policy": ("delivery/policy/",),
    "store": ("delivery/store/", "/asyncpg/"),
    "loop": ("/asyncio/", "/uvloop/"),
}
"""Parts of the program, by a fragment of their file paths."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command-line options of this bench."""
    parser.add_argument("--jobs", type=int, default=20_000, help="deliveries a run (20000)")
    parser.add_argument("--pairs", type=int, default=5, help="runs each of floor and engine (5)")


async def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Measure floor and engine alternately, then profile the engine once."""
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
        **_distribution(profile, listed=0 if options.json else _LISTED),
        "jobs": options.jobs,
        "pairs": options.pairs,
        "receiver": kind,
    }


def _distribution(profile: pstats.Stats, *, listed: int) -> dict[str, Any]:
    """Return the share of time of each part of the program, and the `listed` largest functions.

    The time of a function written in C counts for its callers. If the profiler knows no caller, the
    time counts for the event loop.
    """
    shares: Counter[str] = Counter()
    functions: list[tuple[float, str]] = []
    for (file, _, name), (_, _, own, _, callers) in profile.stats.items():  # type: ignore[attr-defined]
        functions.append((own, name if file in _NOWHERE else f"{_module_path(file)}:{name}"))
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


def _module_path(file: str) -> str:
    return "/".join(Path(file).parts[-2:])

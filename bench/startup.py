"""Duration of short commands, as ratios to an empty Python program, alternately."""

from __future__ import annotations

import asyncio
import resource
import subprocess
import sys
import time
from importlib.util import cache_from_source
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any, Final

import delivery.errors
from bench.databases import enqueue, fresh_database, server
from bench.run import BenchFailed

if TYPE_CHECKING:
    import argparse

__all__ = ["add_arguments", "measure"]

_HELP: Final = 10.0
_COMMAND: Final = 33.0
"""Multiple of `python -c pass`: 0.12 s and 0.4 s where that takes 12 ms."""
_JOBS: Final = 20
_NOTHING: Final = ("-c", "pass")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command-line options of this bench."""
    parser.add_argument("--rounds", type=int, default=15, help="runs of each command (15)")


async def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Run each command alternately with an empty Python program; return median ratios."""
    async with server(options.database_url) as server_url, fresh_database(server_url) as url:
        # Jobs of the tenant that the command lists: rows of several reactions, with their names.
        await enqueue(url, "http://127.0.0.1:9", _JOBS, reactions=_JOBS, group="default")
        commands = {
            "version": ("-m", "delivery", "--version"),
            "help": ("-m", "delivery", "--help"),
            "command_help": ("-m", "delivery", "jobs", "list", "--help"),
            "jobs_list": ("-m", "delivery", "jobs", "list", "--database-url", url),
            "import": ("-c", "import delivery"),
        }
        runs = await asyncio.to_thread(_measure, commands, options.rounds)
    figures: dict[str, Any] = {
        "python_ms": round(median(runs["nothing"][0]) * 1000, 1),
        "bytecode": "cached" if _has_bytecode() else "not cached",
    }
    for name in commands:
        for kind, index in (("ratio", 0), ("cpu_ratio", 1)):
            pairs = zip(runs[name][index], runs["nothing"][index], strict=True)
            figures[f"{name}_{kind}"] = round(median(one / other for one, other in pairs), 1)
    quick = max(figures["version_ratio"], figures["help_ratio"]) <= _HELP
    return {
        **figures,
        "target": f"--version and --help <= {_HELP:g} times, jobs list <= {_COMMAND:g} times",
        "reached": quick and figures["jobs_list_ratio"] <= _COMMAND,
    }


def _measure(
    commands: dict[str, tuple[str, ...]], rounds: int
) -> dict[str, tuple[list[float], list[float]]]:
    """Run each command `rounds` times; return seconds and CPU seconds by name."""
    runs: dict[str, tuple[list[float], list[float]]] = {
        name: ([], []) for name in ("nothing", *commands)
    }
    # A first run loads files into memory and compiles them where Python may write bytecode.
    for _ in range(rounds + 1):
        for name, arguments in (("nothing", _NOTHING), *commands.items()):
            took, cpu = _run(arguments)
            runs[name][0].append(took)
            runs[name][1].append(cpu)
    return {name: (took[1:], cpu[1:]) for name, (took, cpu) in runs.items()}


def _has_bytecode() -> bool:
    """Return whether Python caches the bytecode of `delivery`; else it compiles at each start."""
    return Path(cache_from_source(delivery.errors.__file__)).exists()


def _run(arguments: tuple[str, ...]) -> tuple[float, float]:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    started = time.perf_counter()
    ended = subprocess.run([sys.executable, *arguments], capture_output=True, check=False)
    took = time.perf_counter() - started
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if ended.returncode != 0:
        message = f"{' '.join(arguments[:4])} failed: {ended.stderr.decode(errors='replace')}"
        raise BenchFailed(message)
    cpu = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    return took, cpu

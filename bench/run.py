"""One run in a process of its own, which tells its own time and CPU."""

from __future__ import annotations

import asyncio
import cProfile
import json
import os
import pstats
import resource
import sys
import time
from typing import TYPE_CHECKING

import uvloop

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

__all__ = ["in_own_process", "measured"]


def in_own_process(work: Callable[[str, int], Awaitable[None]]) -> None:
    """Do the work that the command line names, and print what it took as JSON.

    With `DELIVERY_BENCH_PROFILE` set, a profile goes to standard error (and slows the run down).
    """
    database_url, jobs = sys.argv[1], int(sys.argv[2])
    profile = cProfile.Profile() if os.environ.get("DELIVERY_BENCH_PROFILE") else None

    async def timed() -> tuple[float, float]:
        before, began = _cpu(), time.perf_counter()
        if profile is not None:
            profile.enable()
        await work(database_url, jobs)
        if profile is not None:
            profile.disable()
        return time.perf_counter() - began, _cpu() - before

    seconds, cpu = uvloop.run(timed())
    if profile is not None:
        pstats.Stats(profile, stream=sys.stderr).sort_stats("tottime").print_stats(40)
    print(json.dumps({"seconds": seconds, "cpu_seconds": cpu}))


async def measured(module: str, database_url: str, jobs: int) -> dict[str, float]:
    """Run `python -m MODULE` and read what it prints."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", module, database_url, str(jobs), stdout=asyncio.subprocess.PIPE
    )
    output, _ = await process.communicate()
    if process.returncode:
        message = f"{module} ended with {process.returncode}"
        raise RuntimeError(message)
    figures: dict[str, float] = json.loads(output)
    return figures


def _cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime

"""Work in separate processes that report their time and CPU."""

from __future__ import annotations

import asyncio
import cProfile
import json
import os
import pstats
import resource
import signal
import sys
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import uvloop

from delivery.service.process_tuning import collect_less_often

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

__all__ = ["BenchFailed", "Worker", "cpu_seconds", "in_own_process", "measured", "worker"]


class BenchFailed(Exception):
    """The work was not done correctly, so its speed means nothing."""


def in_own_process(work: Callable[[str, int], Awaitable[None]]) -> None:
    """Do the work on the command line and print its time and CPU as JSON.

    With `DELIVERY_BENCH_PROFILE` set to a file name, a profile is written to the file, which slows
    the run down.
    """
    database_url, jobs = sys.argv[1], int(sys.argv[2])
    file = os.environ.get("DELIVERY_BENCH_PROFILE")
    profile = cProfile.Profile() if file else None

    async def timed() -> tuple[float, float]:
        before, began = cpu_seconds(), time.perf_counter()
        if profile is not None:
            profile.enable()
        await work(database_url, jobs)
        if profile is not None:
            profile.disable()
        return time.perf_counter() - began, cpu_seconds() - before

    # Like `Engine.run` in a worker process.
    collect_less_often()
    seconds, cpu = uvloop.run(timed())
    if profile is not None and file is not None:
        pstats.Stats(profile).dump_stats(file)
    print(json.dumps({"seconds": seconds, "cpu_seconds": cpu}))


async def measured(
    module: str, database_url: str, jobs: int, **environment: str
) -> dict[str, float]:
    """Run `python -m MODULE` and read its output.

    Raises:
        BenchFailed: if it ends with an error.
    """
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", module, database_url, str(jobs)),
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, **environment},
    )
    output, _ = await process.communicate()
    if process.returncode:
        message = f"{module} ended with {process.returncode}"
        raise BenchFailed(message)
    figures: dict[str, float] = json.loads(output)
    return figures


def cpu_seconds() -> float:
    """Return the CPU time of this process so far."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


class Worker:
    """A worker process: `bench.worker`."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.pid = process.pid

    async def start(self) -> None:
        """Tell the worker to begin to claim."""
        assert self._process.stdin is not None
        self._process.stdin.write(b"go\n")
        await self._process.stdin.drain()

    async def stop(self) -> dict[str, Any]:
        """End the worker and read its measurements.

        Raises:
            BenchFailed: if it ends with an error.
        """
        if self._process.returncode is None:
            self._process.send_signal(signal.SIGTERM)
        output, _ = await self._process.communicate()
        if self._process.returncode:
            message = f"the worker process ended with {self._process.returncode}"
            raise BenchFailed(message)
        figures: dict[str, Any] = json.loads(output.splitlines()[-1])
        return figures

    def kill(self) -> None:
        """Kill the worker if it still runs."""
        if self._process.returncode is None:
            self._process.kill()


@asynccontextmanager
async def worker(
    database_url: str, *, start: bool = True, **settings: Any
) -> AsyncIterator[Worker]:
    """Run a connected worker process, which claims after `start`; `settings` are `worker.NAME`."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "bench.worker", database_url, json.dumps(settings)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=2**24,
    )
    running = Worker(process)
    try:
        assert process.stdout is not None
        if await process.stdout.readline() != b"ready\n":
            message = f"the worker process did not start: it ended with {await process.wait()}"
            raise BenchFailed(message)
        if start:
            await running.start()
        yield running
    finally:
        running.kill()
        await process.wait()

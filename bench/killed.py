"""Deliveries that are made twice because their worker was killed at full speed."""

from __future__ import annotations

import tempfile
from collections import Counter
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from bench.databases import checkpoint, count_logs, enqueue, fresh_database, left, server, until
from bench.receivers import receiver
from bench.run import BenchFailed, worker
from delivery.settings import WorkerSettings
from delivery.store.driver.connection import connect

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

__all__ = ["add_arguments", "measure"]

_TARGET: Final = 1.1
_TIMEOUT: Final = 180.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command-line options of this bench."""
    parser.add_argument("--kills", type=int, default=10, help="workers to kill (10)")
    parser.add_argument(
        "--deliveries", type=int, default=2_000, help="deliveries of a worker before it dies (2000)"
    )


async def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Kill workers one after the other; the last one delivers the rest."""
    jobs = options.deliveries * (options.kills + 2)
    with _file() as ids:
        async with server(options.database_url) as url:
            with receiver(ids=ids) as (receiver_url, kind):
                await _run(url, receiver_url, jobs, ids, options)
        requests = _counted(ids)
    if len(requests) != jobs:
        message = f"{len(requests)} of {jobs} jobs arrived"
        raise BenchFailed(message)
    repeated = (requests.total() - jobs) / options.kills
    in_flight = WorkerSettings().concurrency
    return {
        "repeated_per_kill": round(repeated, 1),
        "most_repeats_of_one_job": max(requests.values()) - 1,
        "calls_in_flight": in_flight,
        "ratio": round(repeated / in_flight, 3),
        "target": f"repeated <= {_TARGET} of the calls in flight",
        "reached": repeated <= _TARGET * in_flight,
        "deliveries_before_a_kill": options.deliveries,
        "kills": options.kills,
        "jobs": jobs,
        "receiver": kind,
    }


async def _run(
    server_url: str, receiver_url: str, jobs: int, ids: Path, options: argparse.Namespace
) -> None:
    async with fresh_database(server_url) as url:
        await enqueue(url, receiver_url, jobs)
        await checkpoint(url)
        watch = await connect(url, 10.0)
        try:
            for _ in range(options.kills):
                goal = _lines(ids) + options.deliveries
                async with worker(url) as running:

                    async def enough(goal: int = goal) -> bool:
                        return _lines(ids) >= goal

                    await until(enough, timeout=_TIMEOUT, pause=0.001)
                    running.kill()
            async with worker(url) as last:

                async def done() -> bool:
                    return not await left(watch)

                await until(done, timeout=_TIMEOUT)
                await last.stop()
            if (succeeded := await count_logs(watch)) != jobs:
                message = f"{succeeded} of {jobs} jobs succeeded"
                raise BenchFailed(message)
        finally:
            await watch.close()


@contextmanager
def _file() -> Iterator[Path]:
    """Yield the path of a file that the receiver appends to."""
    with tempfile.TemporaryDirectory(prefix="delivery-bench-") as directory:
        # nginx runs as another user.
        Path(directory).chmod(0o777)
        yield Path(directory, "ids")


def _counted(file: Path) -> Counter[str]:
    """Return the number of requests by `webhook-id`."""
    return Counter(file.read_text(encoding="ascii").split())


def _lines(file: Path) -> int:
    """Return the number of lines in a file, all of the same length as the first."""
    if not file.exists() or not (size := file.stat().st_size):
        return 0
    with file.open("rb") as lines:
        return size // len(lines.readline())

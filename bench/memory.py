"""The worker's memory while it drains 200,000 jobs, and with response bodies of 64 KiB."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from statistics import mean
from typing import TYPE_CHECKING, Any, Final

from bench.databases import enqueue, fresh_database, left, server
from bench.receivers import receiver
from bench.run import BenchFailed, worker
from delivery.store.driver.connection import connect

if TYPE_CHECKING:
    import argparse

__all__ = ["add_arguments", "measure"]

_TARGET: Final = 1.10
_PAGE: Final = os.sysconf("SC_PAGE_SIZE")
_FEWEST: Final = 8
_LARGE: Final = 65_536

_DONE: Final = """
SELECT count(*) FROM delivery.delivery_logs WHERE outcome = 'succeeded' AND response_size = $1
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command-line options of this bench."""
    parser.add_argument("--jobs", type=int, default=200_000, help="jobs to drain (200000)")
    parser.add_argument(
        "--large", type=int, default=20_000, help="jobs with 64 KiB responses (20000)"
    )


async def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Measure both in sequence, in fresh processes."""
    async with server(options.database_url) as url:
        with receiver() as (receiver_url, kind):
            small = await _run(url, receiver_url, options.jobs, 2)
        with receiver(body=_LARGE) as (receiver_url, _):
            large = await _run(url, receiver_url, options.large, _LARGE)
    figures = {
        **_quarters("draining", small),
        **_quarters("large_answers", large),
    }
    ratios = (figures["draining_growth"], figures["large_answers_growth"])
    return {
        **figures,
        "target": f"last quarter / second quarter <= {_TARGET:.2f}",
        "reached": max(ratios) <= _TARGET,
        "jobs": options.jobs,
        "jobs_with_large_answers": options.large,
        "receiver": kind,
    }


def _quarters(name: str, samples: list[float]) -> dict[str, float]:
    if len(samples) < _FEWEST:
        message = f"only {len(samples)} samples of memory were taken; raise --jobs"
        raise BenchFailed(message)
    quarter = len(samples) // 4
    second, last = mean(samples[quarter : 2 * quarter]), mean(samples[-quarter:])
    return {
        f"{name}_second_quarter_mib": round(second, 1),
        f"{name}_last_quarter_mib": round(last, 1),
        f"{name}_highest_mib": round(max(samples), 1),
        f"{name}_growth": round(last / second, 3),
        f"{name}_samples": len(samples),
    }


def _resident_mib(pid: int) -> float:
    pages = Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1]
    return int(pages) * _PAGE / 2**20


async def _run(server_url: str, receiver_url: str, jobs: int, body: int) -> list[float]:
    """Sample resident memory in MiB five times a second, from the start of the work to its end.

    Raises:
        BenchFailed: if a job does not succeed with a response body of `body` bytes.
    """
    samples: list[float] = []
    async with fresh_database(server_url) as url:
        await enqueue(url, receiver_url, jobs)
        watch = await connect(url, 10.0)
        async with worker(url) as running:
            while await left(watch):
                samples.append(_resident_mib(running.pid))
                await asyncio.sleep(0.2)
            await running.stop()
        done = await watch.fetchval(_DONE, body)
        await watch.close()
    if done != jobs:
        message = f"{done} of {jobs} jobs succeeded with a response body of {body} bytes"
        raise BenchFailed(message)
    return samples

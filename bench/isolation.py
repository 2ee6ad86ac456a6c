"""Slowdown of healthy endpoints by 20,000 jobs for hanging and misbehaving endpoints."""

from __future__ import annotations

import asyncio
import time
from statistics import median
from typing import TYPE_CHECKING, Any, Final

from bench.databases import (
    checkpoint,
    enqueue,
    fresh_database,
    opened,
    server,
    trigger_evenly,
    until,
)
from bench.misbehaving import endpoints
from bench.receivers import receiver
from bench.run import worker
from delivery.store.driver.connection import connect

if TYPE_CHECKING:
    import argparse

    from delivery.store.driver.connection import Connection

__all__ = ["add_arguments", "measure"]

_TARGET: Final = 1.3
_REACTIONS: Final = 10
_DELIVERED: Final = """
SELECT count(*) FROM delivery.delivery_logs WHERE tenant_id = 'healthy' AND outcome = 'succeeded'
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command-line options of this bench."""
    parser.add_argument("--healthy", type=int, default=2_000, help="healthy jobs (2000)")
    parser.add_argument("--bad", type=int, default=20_000, help="hanging jobs (20000)")
    parser.add_argument("--rounds", type=int, default=5, help="runs of each kind (5)")


async def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Measure healthy jobs alone, and queued after misbehaving ones, alternately."""
    alone: list[float] = []
    alone_under_way: list[float] = []
    company: dict[str, list[float]] = {"hanging": [], "mixed": [], "mixed_under_way": []}
    async with server(options.database_url) as url, endpoints() as bad:
        with receiver() as (healthy, kind):
            hanging = {"hanging": (bad["hanging"], options.bad)}
            others = {
                name: (bad[name], options.bad // 4) for name in ("refusing", "slow", "resetting")
            }
            for _ in range(options.rounds):
                alone.append(await _run(url, healthy, options.healthy, {}))
                alone_under_way.append(await _run(url, healthy, options.healthy, {}, ahead=2.0))
                company["hanging"].append(await _run(url, healthy, options.healthy, hanging))
                company["mixed"].append(await _run(url, healthy, options.healthy, others))
                company["mixed_under_way"].append(
                    await _run(url, healthy, options.healthy, {**hanging, **others}, ahead=2.0)
                )
    figures: dict[str, Any] = {
        "alone_s": round(median(alone), 3),
        "alone_under_way_s": round(median(alone_under_way), 3),
    }
    ratios = {}
    for name, seconds in company.items():
        figures[f"beside_{name}_s"] = round(median(seconds), 3)
        # Each is compared with healthy jobs that arrived in the same way.
        compared = alone_under_way if name.endswith("under_way") else alone
        pairs = zip(seconds, compared, strict=True)
        ratios[name] = round(median(with_bad / without for with_bad, without in pairs), 2)
        figures[f"beside_{name}_ratio"] = ratios[name]
    return {
        **figures,
        "target": f"ratio <= {_TARGET}",
        "reached": all(ratio <= _TARGET for ratio in ratios.values()),
        "healthy_jobs": options.healthy,
        "hanging_jobs": options.bad,
        "rounds": options.rounds,
        "receiver": kind,
    }


async def _run(
    server_url: str,
    healthy_url: str,
    healthy: int,
    bad: dict[str, tuple[str, int]],
    *,
    ahead: float = 0.0,
) -> float:
    """Return the seconds from the worker's start to the last healthy result.

    With `ahead`, the worker is busy with the bad jobs for `ahead` seconds before the healthy jobs
    arrive. The seconds then count from just before the healthy jobs are triggered.
    """
    async with fresh_database(server_url) as url:
        for name, (bad_url, jobs) in bad.items():
            await enqueue(url, bad_url, jobs, reactions=1, group=name)
        await enqueue(
            url, healthy_url, 0 if ahead else healthy, reactions=_REACTIONS, group="healthy"
        )
        await checkpoint(url)
        watch = await connect(url, 10.0)
        try:
            # Without a grace period for hanging calls, the worker stops immediately.
            async with worker(url, start=False, shutdown_timeout=0) as running:
                if not ahead:
                    began = time.perf_counter()
                    await running.start()
                    await _delivered(watch, healthy)
                    return time.perf_counter() - began
                async with opened(url) as engine:
                    await running.start()
                    await asyncio.sleep(ahead)
                    began = time.perf_counter()
                    await trigger_evenly(engine, healthy, reactions=_REACTIONS, group="healthy")
                    await _delivered(watch, healthy)
                    return time.perf_counter() - began
        finally:
            await watch.close()


async def _delivered(watch: Connection, healthy: int) -> None:
    async def all_of_them() -> bool:
        return bool(await watch.fetchval(_DELIVERED) >= healthy)

    await until(all_of_them, timeout=120, pause=0.005)

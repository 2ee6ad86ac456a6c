"""Loss of healthy deliveries while hostile receivers hold 500 sockets open."""

from __future__ import annotations

import asyncio
import os
import time
from itertools import cycle, islice
from pathlib import Path
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
from bench.hostile_receivers import HostileReceivers, hostile_receivers
from bench.receivers import receiver
from bench.run import BenchFailed, worker
from delivery.store.driver.connection import connect

if TYPE_CHECKING:
    import argparse

    from bench.run import Worker
    from delivery.store.driver.connection import Connection

__all__ = ["add_arguments", "measure"]

_TARGET: Final = 0.8
_REACTIONS: Final = 10
_PAGE: Final = os.sysconf("SC_PAGE_SIZE")
_MIX: Final = ("hanging", "dripping", "endless", "hanging", "dripping", "stalling")
"""Kinds of hostile receivers, in rotation. A stall in TLS is short, so few of them are open."""
_SPARE: Final = 1.25
"""Reactions per socket: a call that stalls in TLS ends after 5 s, and its lane then pauses."""
_DELIVERED: Final = """
SELECT count(*) FROM delivery.delivery_logs WHERE tenant_id = 'healthy' AND outcome = 'succeeded'
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command-line options of this bench."""
    parser.add_argument("--healthy", type=int, default=20_000, help="healthy jobs (20000)")
    parser.add_argument("--sockets", type=int, default=500, help="hostile sockets (500)")
    parser.add_argument("--rounds", type=int, default=5, help="runs of each kind (5)")


class _Run:
    """Measurements of one run."""

    def __init__(self) -> None:
        self.per_s = 0.0
        self.highest_mib = 0.0
        self.fewest_sockets = 0
        self.held: dict[str, int] = {}


async def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Measure healthy jobs alone and with hostile receivers, alternately."""
    alone, together = [], []
    async with server(options.database_url) as url, hostile_receivers() as hostile:
        with receiver() as (healthy, kind):
            for _ in range(options.rounds):
                alone.append(await _run(url, healthy, options.healthy, hostile, 0))
                together.append(await _run(url, healthy, options.healthy, hostile, options.sockets))
    ratios = [
        with_bad.per_s / without.per_s for with_bad, without in zip(together, alone, strict=True)
    ]
    ratio = round(median(ratios), 3)
    return {
        "alone_per_s": round(median(run.per_s for run in alone)),
        "beside_per_s": round(median(run.per_s for run in together)),
        "ratio": ratio,
        "lowest_ratio": round(min(ratios), 3),
        "highest_ratio": round(max(ratios), 3),
        "fewest_sockets": min(run.fewest_sockets for run in together),
        **{f"{name}_sockets": count for name, count in together[0].held.items()},
        "alone_highest_mib": round(max(run.highest_mib for run in alone), 1),
        "beside_highest_mib": round(max(run.highest_mib for run in together), 1),
        "target": f"ratio >= {_TARGET}",
        "reached": ratio >= _TARGET,
        "healthy_jobs": options.healthy,
        "sockets": options.sockets,
        "rounds": options.rounds,
        "receiver": kind,
    }


async def _run(
    server_url: str, healthy_url: str, healthy: int, hostile: HostileReceivers, sockets: int
) -> _Run:
    """Deliver healthy jobs while `sockets` hostile sockets are open.

    Raises:
        BenchFailed: if fewer sockets are open at any time.
    """
    lanes = round(sockets * _SPARE)
    urls = list(islice(cycle(hostile.urls[name] for name in _MIX), lanes))
    run = _Run()
    async with fresh_database(server_url) as url:
        await enqueue(url, healthy_url, 0, reactions=_REACTIONS, group="healthy")
        if lanes:
            await enqueue(url, lambda number: urls[number], lanes, reactions=lanes, group="hostile")
        await checkpoint(url)
        watch = await connect(url, 10.0)
        try:
            async with worker(url, shutdown_timeout=0) as running, opened(url) as engine:
                await _opened(hostile, sockets)
                began = time.perf_counter()
                await trigger_evenly(engine, healthy, reactions=_REACTIONS, group="healthy")
                await _delivered(watch, healthy, running, hostile, run)
                run.per_s = healthy / (time.perf_counter() - began)
        finally:
            await watch.close()
    if run.fewest_sockets < sockets:
        message = f"only {run.fewest_sockets} of {sockets} hostile sockets were open"
        raise BenchFailed(message)
    await _opened(hostile, 0)
    return run


async def _opened(hostile: HostileReceivers, sockets: int) -> None:
    """Wait until `sockets` sockets have been open for 2 s.

    After that they take no connections from other calls.
    """

    async def are_open() -> bool:
        open_now = sum((await hostile.connections()).values())
        return open_now >= sockets if sockets else not open_now

    await until(are_open, timeout=60)
    await asyncio.sleep(2.0)


async def _delivered(
    watch: Connection, healthy: int, running: Worker, hostile: HostileReceivers, run: _Run
) -> None:
    """Sample memory and sockets until the healthy jobs are delivered."""
    run.held = await hostile.connections()
    run.fewest_sockets = sum(run.held.values())

    async def all_of_them() -> bool:
        run.highest_mib = max(run.highest_mib, _resident_mib(running.pid))
        open_now = sum((await hostile.connections()).values())
        run.fewest_sockets = min(run.fewest_sockets, open_now)
        return bool(await watch.fetchval(_DELIVERED) >= healthy)

    await until(all_of_them, timeout=120, pause=0.02)


def _resident_mib(pid: int) -> float:
    pages = Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1]
    return int(pages) * _PAGE / 2**20

"""Delay of a neighbour while 100 jobs run whose requests take long to compute."""

from __future__ import annotations

import asyncio
import json
from statistics import median
from typing import TYPE_CHECKING, Any, Final

from bench.databases import checkpoint, fresh_database, opened, server, until
from bench.receivers import receiver
from bench.run import worker
from delivery import TriggerRequest
from delivery.store.driver.connection import connect

if TYPE_CHECKING:
    import argparse

    from delivery.store.driver.connection import Connection

__all__ = ["add_arguments", "measure"]

_TARGET: Final = 0.25
_PAUSE: Final = 0.02
"""Seconds between two events of the neighbour."""
_FEWEST: Final = 25
"""Minimum number of neighbour events, even if the jobs are done sooner."""
_ROWS: Final = [{"sku": f"s-{n}", "count": n, "price": 1.5, "on": True} for n in range(3_600)]
_LARGE: Final = json.dumps({"order": {"id": "A-1"}, "ones": [1] * 10_000, "rows": _ROWS}).encode()
_TOKENS: Final = json.dumps(
    {"order": {"id": "A-1"}, **{f"token{n}": f"value-of-{n:06}-secret" for n in range(490)}}
).encode()
_CASES: Final[dict[str, tuple[bytes, dict[str, Any]]]] = {
    "nothing": (b"1", {}),
    "body": (_LARGE, {"body": {"kind": "json", "content": {"order": "{{ event.order }}"}}}),
    "header": (_LARGE, {"headers": {"X-Order": "{{ event.order.id }}"}}),
    "tokens": (_TOKENS, {"headers": {"X-Order": "{{ event.order.id }}"}}),
    "everything": (_LARGE, {"body": {"kind": "raw", "content": "token={{ event | json }}"}}),
}
"""Payload and call of each kind of computation."""
_SLOWEST: Final = """
SELECT max(extract(epoch FROM jobs.finished_at - jobs.created_at))::float8
FROM delivery.jobs AS jobs JOIN delivery.triggers AS triggers ON triggers.id = jobs.trigger_id
WHERE jobs.tenant_id = 'neighbour' AND triggers.payload <> '"first"'
"""
_LEFT: Final = """
SELECT count(*) FROM delivery.jobs WHERE finished_at IS NULL AND tenant_id = $1
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command-line options of this bench."""
    parser.add_argument("--jobs", type=int, default=100, help="jobs of each kind (100)")
    parser.add_argument("--rounds", type=int, default=5, help="runs of each kind (5)")


async def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Measure the neighbour's slowest delivery with each kind of computation, alternately."""
    slowest: dict[str, list[float]] = {name: [] for name in _CASES}
    async with server(options.database_url) as url:
        with receiver() as (endpoint, kind):
            for _ in range(options.rounds):
                for name, (payload, call) in _CASES.items():
                    jobs = 0 if name == "nothing" else options.jobs
                    slowest[name].append(await _run(url, endpoint, payload, call, jobs))
    figures = {f"beside_{name}_s": round(median(times), 3) for name, times in slowest.items()}
    worst = max(max(times) for times in slowest.values())
    return {
        **figures,
        "worst_s": round(worst, 3),
        "target": f"each <= {_TARGET} s",
        "reached": all(seconds <= _TARGET for seconds in figures.values()),
        "jobs": options.jobs,
        "payload_bytes": len(_LARGE),
        "rounds": options.rounds,
        "receiver": kind,
    }


async def _run(
    server_url: str, endpoint: str, payload: bytes, call: dict[str, Any], jobs: int
) -> float:
    """Return the seconds of the neighbour's slowest delivery while such jobs run."""
    async with fresh_database(server_url) as url, opened(url) as engine:
        await engine.reactions.create(
            name="computed", tenant_id="busy", url=f"{endpoint}/busy", **call
        )
        await engine.reactions.create(
            name="plain", tenant_id="neighbour", url=f"{endpoint}/neighbour"
        )
        await checkpoint(url)
        watch = await connect(url, 10.0)
        try:
            async with worker(url, shutdown_timeout=0):
                # The first event waits for the worker to start, so it is not counted.
                await engine.trigger("x", "first", tenant_id="neighbour")
                await _all_delivered(watch)
                await engine.trigger_many(
                    [TriggerRequest("x", payload) for _ in range(jobs)], tenant_id="busy"
                )
                sent = 0
                while sent < _FEWEST or await watch.fetchval(_LEFT, "busy"):
                    await engine.trigger("x", sent, tenant_id="neighbour")
                    sent += 1
                    await asyncio.sleep(_PAUSE)
                await _all_delivered(watch)
                slowest: float = await watch.fetchval(_SLOWEST)
                return slowest
        finally:
            await watch.close()


async def _all_delivered(watch: Connection) -> None:
    async def all_of_them() -> bool:
        return not await watch.fetchval(_LEFT, "neighbour")

    await until(all_of_them, timeout=120)

"""Deliveries over TLS, kept alive and with a handshake each, compared with plain ones."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from bench.authority import make_authority
from bench.databases import SECRET, fresh_database, left, opened, server, until
from bench.figures import percentile
from bench.receivers import Tls, receiver
from bench.run import BenchFailed, worker
from delivery import TlsOptions, TriggerRequest
from delivery.store.driver.connection import connect

if TYPE_CHECKING:
    import argparse

__all__ = ["add_arguments", "measure"]

_DONE: Final = """
SELECT count(*) FILTER (WHERE outcome = 'succeeded'), count(*) FILTER (WHERE NOT reused)
FROM delivery.delivery_logs
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command-line options of this bench."""
    parser.add_argument("--jobs", type=int, default=10_000, help="deliveries kept alive (10000)")
    parser.add_argument(
        "--handshakes", type=int, default=2_000, help="deliveries on new connections (2000)"
    )


async def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Measure plain HTTP, TLS, and TLS with new connections, in sequence."""
    figures: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as directory:
        tls = make_authority(Path(directory))
        async with server(options.database_url) as url:
            with receiver() as (receiver_url, kind):
                if kind != "nginx":
                    message = "the TLS bench needs nginx as its receiver; install it"
                    raise BenchFailed(message)
                plain = await _run(url, receiver_url, options.jobs, None)
            with receiver(tls=tls) as (receiver_url, _):
                reused = await _run(url, receiver_url, options.jobs, tls)
            with receiver(tls=tls, keep_alive=False) as (receiver_url, _):
                new = await _run(url, receiver_url, options.handshakes, tls, keep_alive=False)
            with receiver(keep_alive=False) as (receiver_url, _):
                new_plain = await _run(
                    url, receiver_url, options.handshakes, None, keep_alive=False
                )
    for name, run in (
        ("plain", plain),
        ("tls", reused),
        ("plain_new_connections", new_plain),
        ("tls_new_connections", new),
    ):
        figures |= {f"{name}_{key}": value for key, value in run.items()}
    # A new connection has a cost without TLS too, and TLS has a cost on reused connections too.
    figures["handshake_cpu_us"] = round(
        (new["cpu_us"] - new_plain["cpu_us"]) - (reused["cpu_us"] - plain["cpu_us"])
    )
    return {**figures, "jobs": options.jobs, "handshakes": options.handshakes, "receiver": kind}


async def _run(
    server_url: str, receiver_url: str, jobs: int, tls: Tls | None, *, keep_alive: bool = True
) -> dict[str, float]:
    """Return the rate, the CPU of the worker process, and the lateness of its event loop.

    Raises:
        BenchFailed: if a job does not succeed, or connections are not reused as requested.
    """
    options = TlsOptions() if tls is None else TlsOptions(ca=tls.authority)
    async with fresh_database(server_url) as url:
        async with opened(url) as engine:
            for number in range(10):
                await engine.reactions.create(
                    name=str(number),
                    event_types=[f"bench.{number}"],
                    url=f"{receiver_url}/{number}",
                    secret=SECRET,
                    tls=options,
                )
            await engine.trigger_many(
                TriggerRequest(f"bench.{number % 10}", {"data": "x" * 1000})
                for number in range(jobs)
            )
        watch = await connect(url, 10.0)
        async with worker(url, start=False) as running:
            began = time.perf_counter()
            await running.start()

            async def done() -> bool:
                return not await left(watch)

            await until(done, timeout=300)
            seconds = time.perf_counter() - began
            figures = await running.stop()
        counted = await watch.fetchrow(_DONE)
        assert counted is not None
        succeeded, connections = counted
        await watch.close()
    if not keep_alive and connections != jobs:
        message = f"{jobs} deliveries were made on {connections} connections at {receiver_url}"
        raise BenchFailed(message)
    if succeeded != jobs:
        message = f"{succeeded} of {jobs} jobs succeeded at {receiver_url}"
        raise BenchFailed(message)
    return {
        "per_s": round(jobs / seconds),
        "connections": connections,
        "cpu_us": round(figures["cpu_seconds"] / jobs * 1e6, 1),
        "loop_late_p99_ms": round(percentile(figures["lateness"], 99) * 1000, 1),
        "loop_late_max_ms": round(max(figures["lateness"]) * 1000, 1),
    }

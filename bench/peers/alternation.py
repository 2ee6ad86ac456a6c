"""Alternate runs of engine and peer: each in a fresh process on a fresh database."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any, Final

from bench.databases import fresh_database, server
from bench.peers.installation import PEERS, Installed, NotInstalled, install
from bench.receivers import receiver
from bench.run import BenchFailed
from bench.throughput import run_once
from delivery.store.driver.connection import connect

if TYPE_CHECKING:
    from delivery.store.driver.connection import Connection

__all__ = ["measure"]

_REPOSITORY: Final = Path(__file__).parents[2]
_SLOWEST_PER_S: Final = 50
_STARTUP: Final = 60.0

_LOG: Final = """
CREATE TABLE bench_delivery_logs (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    job_id text NOT NULL,
    attempt integer NOT NULL,
    url text NOT NULL,
    status_code integer NOT NULL,
    duration_ms double precision NOT NULL,
    request_headers json NOT NULL,
    request_body bytea NOT NULL,
    response_headers json NOT NULL,
    response_body bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
)
"""
_IS_COMPLETE: Final = """
SELECT count(*) = $1 AND count(DISTINCT job_id) = $1
    AND count(*) FILTER (WHERE status_code = 200 AND length(request_body) > 1000) = $1
FROM bench_delivery_logs
"""


@dataclass(slots=True)
class _Runs:
    per_s: list[float] = field(default_factory=list)
    cpu_us: list[float] = field(default_factory=list)
    ratios: list[float] = field(default_factory=list)


async def measure(database_url: str | None, jobs: int, rounds: int) -> dict[str, Any]:
    """Return medians of each peer and of the engine, and of the ratios of neighbouring runs.

    A peer that cannot be installed has no figures, but a reason in `…_why`.

    Raises:
        BenchFailed: if a run does not complete its work.
    """
    installed: dict[str, Installed] = {}
    missing: dict[str, str] = {}
    for name in PEERS:
        try:
            installed[name] = install(name)
        except NotInstalled as error:
            missing[name] = str(error)
    runs = {name: _Runs() for name in installed}
    ours = _Runs()
    with receiver() as (receiver_url, kind):
        async with server(database_url) as url:
            for _ in range(rounds):
                for name, peer in installed.items():
                    engine = await run_once("bench.engine", url, receiver_url, jobs)
                    theirs = await _peer_run(name, peer, url, receiver_url, jobs)
                    _note(ours, engine)
                    _note(runs[name], theirs)
                    runs[name].ratios.append(engine["per_s"] / theirs["per_s"])
    figures: dict[str, Any] = _medians("engine", ours)
    for name in PEERS:
        if name in missing:
            figures |= {f"{name}_per_s": None, f"{name}_ratio": None, f"{name}_why": missing[name]}
        else:
            figures |= _described(name, installed[name], runs[name])
    return {**figures, "jobs": jobs, "rounds": rounds, "receiver": kind}


def _note(runs: _Runs, figures: dict[str, float]) -> None:
    runs.per_s.append(figures["per_s"])
    runs.cpu_us.append(figures["cpu_us"])


def _medians(name: str, runs: _Runs) -> dict[str, Any]:
    if not runs.per_s:
        return {f"{name}_per_s": None, f"{name}_cpu_us": None}
    return {
        f"{name}_per_s": round(median(runs.per_s)),
        f"{name}_cpu_us": round(median(runs.cpu_us), 1),
    }


def _described(name: str, peer: Installed, runs: _Runs) -> dict[str, Any]:
    return {
        **_medians(name, runs),
        f"{name}_ratio": round(median(runs.ratios), 2),
        f"{name}_version": peer.version,
        f"{name}_runtime": peer.runtime,
    }


async def _peer_run(
    name: str, peer: Installed, server_url: str, receiver_url: str, jobs: int
) -> dict[str, float]:
    async with fresh_database(server_url) as url:
        watch = await connect(url, 10.0)
        try:
            await watch.execute(_LOG)
            arguments = (url, receiver_url, str(jobs))
            await _output(name, (*peer.command, "enqueue", *arguments), jobs)
            await watch.execute("CHECKPOINT")
            printed = await _output(name, (*peer.command, "work", *arguments), jobs)
            await _check_log(name, watch, jobs)
        finally:
            await watch.close()
    figures: dict[str, float] = json.loads(printed.splitlines()[-1])
    return {
        "per_s": jobs / figures["seconds"],
        "cpu_us": figures["cpu_seconds"] / jobs * 1e6,
    }


async def _check_log(name: str, watch: Connection, jobs: int) -> None:
    if not await watch.fetchval(_IS_COMPLETE, jobs):
        message = f"the log of {name} lacks exactly one success row for each of {jobs} jobs"
        raise BenchFailed(message)


async def _output(name: str, command: tuple[str, ...], jobs: int) -> bytes:
    """Run a step of the peer and return its output.

    Raises:
        BenchFailed: if it fails or exceeds the time limit.
    """
    process = await asyncio.create_subprocess_exec(
        *command,
        cwd=_REPOSITORY,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    limit = _STARTUP + jobs / _SLOWEST_PER_S
    try:
        output, error_output = await asyncio.wait_for(process.communicate(), limit)
    except TimeoutError as error:
        message = f"{name} was not done after {limit:.0f} s"
        raise BenchFailed(message) from error
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode:
        last = error_output.decode(errors="replace").strip().splitlines() or ["no reason given"]
        message = f"{name} ended with {process.returncode}: {last[-1]}"
        raise BenchFailed(message)
    return output

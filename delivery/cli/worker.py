"""`delivery worker` and `delivery serve`: deliver jobs until stopped."""

# Without `from __future__ import annotations`: cyclopts reads the annotations.

import os
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from delivery.cli.options import COMMON, Common, load, open_engine
from delivery.wording import counted

if TYPE_CHECKING:
    from delivery.service import Engine
    from delivery.settings import Settings

__all__ = ["serve", "worker"]

Concurrency = Annotated[
    int | None,
    Parameter(help="Concurrent requests per process; default: worker.concurrency."),
]
Processes = Annotated[
    int | None,
    Parameter(help="Number of worker processes; default: worker.processes."),
]


async def worker(
    *, concurrency: Concurrency = None, processes: Processes = None, common: Common = COMMON
) -> int:
    """Deliver jobs until stopped; workers can share a database.

    On SIGTERM or Ctrl-C, requests in flight have worker.shutdown_timeout (20 s) to finish, and the
    other jobs return to the queue. A second signal stops immediately. With several processes, the
    command replaces a process that dies and stops all of them together.
    """
    return await _work(concurrency, processes, common)


async def serve(
    *, concurrency: Concurrency = None, processes: Processes = None, common: Common = COMMON
) -> int:
    """Run the daemon. Currently an alias of `delivery worker`."""
    return await _work(concurrency, processes, common)


async def _work(concurrency: int | None, processes: int | None, common: Common) -> int:
    from delivery.service.database import name_database
    from delivery.service.process_tuning import allow_open_files

    given = {"concurrency": concurrency, "processes": processes}
    settings = load(
        replace(
            common,
            set=(
                *common.set,
                *(f"worker.{key}={value}" for key, value in given.items() if value is not None),
            ),
        ),
        verbose=True,
        named={("worker", key): f"--{key}" for key, value in given.items() if value is not None},
    )
    allow_open_files()
    async with open_engine(common, settings) as engine:
        await engine.secrets.check()
        _print(
            common,
            {
                "event": "started",
                "pid": os.getpid(),
                "database": name_database(settings),
                "concurrency": settings.worker.concurrency,
                "processes": settings.worker.processes,
            },
            _started(settings),
        )
        if settings.worker.processes == 1:
            await engine.run()
            status = 0
        else:
            status = await _supervise(engine, common)
    _print(common, {"event": "stopped", "pid": os.getpid()}, "stopped")
    return status


async def _supervise(engine: "Engine", common: Common) -> int:
    from delivery.service.processes import run_processes

    # This process runs the embedded server. Its children receive the URL and the secrets' key.
    settings = engine.settings
    database = settings.database.model_copy(update={"url": engine.database_url})

    def print_started(pid: int, replaced: int | None) -> None:
        event = {"event": "process_started", "pid": pid, "replaces": replaced}
        _print(common, event, f"process {pid} started")

    return await run_processes(
        settings.model_copy(update={"database": database}), settings.worker.processes, print_started
    )


def _started(settings: "Settings") -> str:
    from delivery.service.database import name_database

    calls = f"up to {counted(settings.worker.concurrency, 'call')} at once"
    if settings.worker.processes > 1:
        calls = f"{settings.worker.processes} processes, {calls} in each"
    return (
        f"delivering jobs of the database {name_database(settings)}, {calls}; press Ctrl-C to stop"
    )


def _print(common: Common, event: dict[str, Any], text: str) -> None:
    if common.json:
        common.output.json_line(event)
    else:
        common.output.line(text)

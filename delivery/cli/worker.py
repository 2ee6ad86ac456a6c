"""`delivery worker` and `delivery serve`: deliver until told to stop."""

# Without `from __future__ import annotations`: cyclopts reads the annotations.

import os
from dataclasses import replace
from typing import Annotated, Any

from cyclopts import Parameter

from delivery.cli.options import COMMON, Common, load, open_engine
from delivery.service import Engine
from delivery.service.database import name_database
from delivery.service.own_process import allow_open_files
from delivery.service.processes import run_processes
from delivery.settings import Settings

__all__ = ["serve", "worker"]

Concurrency = Annotated[
    int | None,
    Parameter(help="Calls in flight at once in a process; default: worker.concurrency."),
]
Processes = Annotated[
    int | None,
    Parameter(help="Processes, to use more than one core; default: worker.processes."),
]


async def worker(
    *, concurrency: Concurrency = None, processes: Processes = None, common: Common = COMMON
) -> int:
    """Deliver until told to stop; any number of workers may share a database.

    SIGTERM and Ctrl-C let calls in flight end (worker.shutdown_timeout, 20 s) and hand the rest
    back; a second one stops at once. With several processes one that dies is replaced, and all stop
    together.
    """
    return await _work(concurrency, processes, common)


async def serve(
    *, concurrency: Concurrency = None, processes: Processes = None, common: Common = COMMON
) -> int:
    """Run the daemon. For now this is `delivery worker`: API and dashboard are to come."""
    return await _work(concurrency, processes, common)


async def _work(concurrency: int | None, processes: int | None, common: Common) -> int:
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
    )
    allow_open_files()
    async with open_engine(common, settings) as engine:
        await engine.secrets.check()
        _tell(
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
    _tell(common, {"event": "stopped", "pid": os.getpid()}, "stopped")
    return status


async def _supervise(engine: Engine, common: Common) -> int:
    # The embedded server is kept by this process; its children are told only where it is, and by
    # what key its secrets are sealed.
    settings = engine.settings
    database = settings.database.model_copy(update={"url": engine.database_url})

    def tell_started(pid: int, replaced: int | None) -> None:
        event = {"event": "process_started", "pid": pid, "replaces": replaced}
        _tell(common, event, f"process {pid} started")

    return await run_processes(
        settings.model_copy(update={"database": database}), settings.worker.processes, tell_started
    )


def _started(settings: Settings) -> str:
    calls = f"up to {settings.worker.concurrency} calls at once"
    if settings.worker.processes > 1:
        calls = f"{settings.worker.processes} processes, {calls} in each"
    return f"delivering from {name_database(settings)}, {calls}; Ctrl-C stops"


def _tell(common: Common, event: dict[str, Any], text: str) -> None:
    if common.json:
        common.output.json_line(event)
    else:
        common.output.line(text)

"""`delivery worker` and `delivery serve`: make the calls until stopped."""

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
    Parameter(help="Calls in flight at once in each process; default: worker.concurrency."),
]
Processes = Annotated[
    int | None,
    Parameter(help="Processes, each on a core of its own; default: worker.processes."),
]


async def worker(
    *, concurrency: Concurrency = None, processes: Processes = None, common: Common = COMMON
) -> int:
    """Make the calls until stopped. Any number of workers can share a database.

    On SIGTERM or Ctrl-C, calls in flight have worker.shutdown_timeout (20 s) to end, and the other
    jobs go back to the queue; a second signal stops at once. With several processes, one that dies
    is replaced, and all stop together.
    """
    return await _work(concurrency, processes, common)


async def serve(
    *, concurrency: Concurrency = None, processes: Processes = None, common: Common = COMMON
) -> int:
    """Run the daemon. For now this is the same as `delivery worker`."""
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


async def _supervise(engine: "Engine", common: Common) -> int:
    from delivery.service.processes import run_processes

    # The embedded server is kept by this process; its children are told only where it is, and by
    # what key its secrets are encrypted.
    settings = engine.settings
    database = settings.database.model_copy(update={"url": engine.database_url})

    def tell_started(pid: int, replaced: int | None) -> None:
        event = {"event": "process_started", "pid": pid, "replaces": replaced}
        _tell(common, event, f"process {pid} started")

    return await run_processes(
        settings.model_copy(update={"database": database}), settings.worker.processes, tell_started
    )


def _started(settings: "Settings") -> str:
    from delivery.service.database import name_database

    calls = f"up to {counted(settings.worker.concurrency, 'call')} at once"
    if settings.worker.processes > 1:
        calls = f"{settings.worker.processes} processes, {calls} in each"
    return f"delivering jobs of the database {name_database(settings)}, {calls}; Ctrl-C stops"


def _tell(common: Common, event: dict[str, Any], text: str) -> None:
    if common.json:
        common.output.json_line(event)
    else:
        common.output.line(text)

"""`delivery worker` and `delivery serve`: deliver until told to stop."""

# Without `from __future__ import annotations`: cyclopts reads the annotations.

import os
from typing import Annotated

from cyclopts import Parameter

from delivery.cli.options import COMMON, Common, load, open_engine
from delivery.service.database import name_database

__all__ = ["serve", "worker"]

Concurrency = Annotated[
    int | None, Parameter(help="Calls in flight at once; default: worker.concurrency.")
]


async def worker(*, concurrency: Concurrency = None, common: Common = COMMON) -> None:
    """Deliver until told to stop; any number of workers may share a database.

    SIGTERM and Ctrl-C let calls in flight end (worker.shutdown_timeout, 20 s) and hand the rest
    back; a second one stops at once.
    """
    await _work(concurrency, common)


async def serve(*, concurrency: Concurrency = None, common: Common = COMMON) -> None:
    """Run the daemon. For now this is `delivery worker`: API and dashboard are to come."""
    await _work(concurrency, common)


async def _work(concurrency: int | None, common: Common) -> None:
    output = common.output
    settings = load(common, verbose=True)
    if concurrency is not None:
        changed = settings.worker.model_copy(update={"concurrency": concurrency})
        settings = settings.model_copy(update={"worker": changed})
    async with open_engine(common, settings) as engine:
        shown = {
            "event": "started",
            "pid": os.getpid(),
            "database": name_database(settings),
            "concurrency": settings.worker.concurrency,
        }
        if common.json:
            output.json_line(shown)
        else:
            output.line(
                f"delivering from {shown['database']}, up to {shown['concurrency']} calls at once;"
                " Ctrl-C stops"
            )
        await engine.run()
    if common.json:
        output.json_line({"event": "stopped", "pid": os.getpid()})
    else:
        output.line("stopped")

"""The engine with the same work as the floor: `python -m bench.engine URL JOBS`."""

from __future__ import annotations

import asyncio

import delivery

# Imported before the timing starts: the library imports it only when a worker starts.
import delivery.engine.worker
from bench.run import in_own_process
from delivery.engine.events import ResultsWritten
from delivery.models import JobStatus

__all__ = ["deliver_all"]


async def deliver_all(database_url: str, jobs: int) -> None:
    """Deliver all jobs in the database with the default settings."""
    left = jobs
    done = asyncio.Event()
    async with delivery.connect(database_url, http={"allowed_networks": ["127.0.0.0/8"]}) as engine:

        def count(written: ResultsWritten) -> None:
            nonlocal left
            left -= sum(result.status == JobStatus.SUCCEEDED for result in written.results)
            if left <= 0:
                done.set()

        # A query that asks whether all jobs are done would be work that the floor does not have.
        # So would be the objects of the public event.
        engine._events.on(ResultsWritten, count)  # noqa: SLF001
        async with engine.workers():
            await done.wait()


if __name__ == "__main__":
    in_own_process(deliver_all)

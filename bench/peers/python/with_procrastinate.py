"""Procrastinate's own worker: `python -m bench.peers.python.with_procrastinate STEP …`.

`concurrency` limits concurrent jobs; a separate statement fetches, and another finishes, each job.
Other settings have their defaults. A larger pool, or deletion of finished jobs, was not faster.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

from procrastinate import App, PsycopgConnector  # type: ignore[import-not-found]

from bench.peers.python.exchange import CONCURRENCY, Exchanges, payloads, run, until_zero

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

_LEFT: Final = "SELECT count(*) FROM procrastinate_jobs WHERE status <> 'succeeded'"


async def _enqueue(database_url: str, receiver_url: str, jobs: int) -> None:
    app = App(connector=PsycopgConnector(conninfo=database_url))
    async with app.open_async():
        await app.schema_manager.apply_schema_async()
        deferrer = app.configure_task("deliver")
        await deferrer.batch_defer_async(*payloads(receiver_url, jobs))


@asynccontextmanager
async def _working(database_url: str, jobs: int) -> AsyncIterator[None]:
    app = App(connector=PsycopgConnector(conninfo=database_url))
    async with app.open_async(), Exchanges(database_url, jobs) as exchanges:

        async def deliver(context: Any, *, url: str, payload: object) -> None:
            await exchanges.deliver(context.job.id, context.job.attempts + 1, url, payload)

        app.task(name="deliver", pass_context=True)(deliver)
        worker = asyncio.create_task(
            app.run_worker_async(concurrency=CONCURRENCY, install_signal_handlers=False)
        )
        await exchanges.all_logged()
        await until_zero(database_url, _LEFT)
        yield
        worker.cancel()
        await asyncio.wait([worker])


if __name__ == "__main__":
    run(_enqueue, _working)

"""PgQueuer on asyncpg: `python -m bench.peers.python.with_pgqueuer STEP …`.

The setup follows its performance guide: a pool of connections for high throughput, its autovacuum
settings, `durable` tables. One statement fetches `batch_size` jobs or writes as many results.
Values above the default of 10 were slower here. `max_concurrent_tasks` limits concurrent jobs.
"""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

import asyncpg
from pgqueuer import PgQueuer  # type: ignore[import-not-found]
from pgqueuer.db import AsyncpgDriver, AsyncpgPoolDriver  # type: ignore[import-not-found]
from pgqueuer.queries import Queries  # type: ignore[import-not-found]

from bench.peers.python.exchange import CONCURRENCY, Exchanges, payloads, run, until_zero

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

_BATCH: Final = 10
_LEFT: Final = "SELECT count(*) FROM pgqueuer"


async def _enqueue(database_url: str, receiver_url: str, jobs: int) -> None:
    connection = await asyncpg.connect(database_url)
    queries = Queries(AsyncpgDriver(connection))
    await queries.install()
    await queries.optimize_autovacuum()
    contents: list[bytes | None] = [
        json.dumps(each).encode() for each in payloads(receiver_url, jobs)
    ]
    await queries.enqueue(["deliver"] * jobs, contents, [0] * jobs)
    await connection.close()


@asynccontextmanager
async def _working(database_url: str, jobs: int) -> AsyncIterator[None]:
    async with (
        Exchanges(database_url, jobs) as exchanges,
        asyncpg.create_pool(database_url) as pool,
    ):
        queue = PgQueuer(AsyncpgPoolDriver(pool))

        async def deliver(job: Any) -> None:
            wanted = json.loads(job.payload)
            await exchanges.deliver(job.id, job.attempts + 1, wanted["url"], wanted["payload"])

        queue.entrypoint("deliver")(deliver)
        worker = asyncio.create_task(queue.run(batch_size=_BATCH, max_concurrent_tasks=CONCURRENCY))
        await exchanges.all_logged()
        await until_zero(database_url, _LEFT)
        yield
        queue.shutdown.set()
        await worker


if __name__ == "__main__":
    run(_enqueue, _working)

"""Oban for Python: `python -m bench.peers.python.with_oban STEP …`.

The queue's limit is the number of concurrent jobs; Oban fetches as many as have ended since. Its
pool has the default size of 10, which Oban's production guide recommends for a limit of 100.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

from oban import Oban, worker  # type: ignore[import-not-found]
from oban.schema import install  # type: ignore[import-not-found]

from bench.peers.python.exchange import CONCURRENCY, Exchanges, payloads, run, until_zero

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

_LEFT: Final = "SELECT count(*) FROM oban_jobs WHERE state <> 'completed'"


class Deliver:
    """The worker class; Oban creates an instance for each job."""

    exchanges: Exchanges

    async def process(self, job: Any) -> None:
        """Make the exchange of the job."""
        await self.exchanges.deliver(job.id, job.attempt, job.args["url"], job.args["payload"])


_worker = worker(queue="default")(Deliver)


async def _enqueue(database_url: str, receiver_url: str, jobs: int) -> None:
    pool = await Oban.create_pool(database_url)
    await install(pool)
    await Oban(pool=pool).enqueue_many(_worker.new(each) for each in payloads(receiver_url, jobs))
    await pool.close()


@asynccontextmanager
async def _working(database_url: str, jobs: int) -> AsyncIterator[None]:
    pool = await Oban.create_pool(database_url)
    async with Exchanges(database_url, jobs) as Deliver.exchanges:
        async with Oban(pool=pool, queues={"default": CONCURRENCY}):
            await Deliver.exchanges.all_logged()
            await until_zero(database_url, _LEFT)
            yield
        await pool.close()


if __name__ == "__main__":
    run(_enqueue, _working)

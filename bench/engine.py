"""The engine doing the same work, in its own process: `python -m bench.engine URL JOBS`."""

from __future__ import annotations

import asyncio

import delivery
from bench.run import in_own_process
from delivery.store.connection import connect

__all__ = ["deliver_all"]

_LEFT = "SELECT EXISTS (SELECT FROM delivery.queue) OR EXISTS (SELECT FROM delivery.leases)"


async def deliver_all(database_url: str, jobs: int) -> None:
    """Deliver everything that is in the database, with the default settings."""
    del jobs
    watch = await connect(database_url, 10.0)
    async with (
        delivery.connect(database_url, http={"allowed_networks": ["127.0.0.0/8"]}) as engine,
        engine.workers(),
    ):
        while await watch.fetchval(_LEFT):
            await asyncio.sleep(0.02)
    await watch.close()


if __name__ == "__main__":
    in_own_process(deliver_all)

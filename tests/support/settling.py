"""A settler on a database without a worker, and claims to settle."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import asyncpg

from delivery.clock import Clock
from delivery.engine.announcements import Announcements
from delivery.engine.events import EventBus, ResultsWritten
from delivery.engine.operational_triggers import OperationalTriggers
from delivery.engine.settling.disabling import Disabling
from delivery.engine.settling.settler import Settler
from delivery.engine.settling.writer import SettleWriter
from delivery.queue.held_leases import HeldLeases
from delivery.queue.wakeups import Waker
from tests.support.queues import opened, succeeded

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from typing import Any
    from uuid import UUID

    from delivery.store.settlements import Settlement
    from tests.support.queues import Bench

__all__ = ["Settling", "owning", "rig", "settling"]


@dataclass(slots=True)
class Settling:
    """A running settler and the results that it wrote."""

    bench: Bench
    held: HeldLeases
    settler: Settler
    telling: Announcements
    written: list[Settlement] = field(default_factory=list)

    async def claimed(self, count: int, **changes: Any) -> list[Settlement]:
        """Enqueue and claim jobs in one lease; return results of successful calls."""
        await self.bench.enqueue(count)
        lease_id, jobs = await self.bench.claim(count)
        self.held.opened(lease_id, [job.job_id for job in jobs])
        return [succeeded(self.bench, lease_id, job, **changes) for job in jobs]

    def add(self, *results: Settlement) -> None:
        """Pass results to the settler."""
        for result in results:
            self.settler.add(result)

    async def log_of(self, job_id: UUID) -> Any:
        """Return the only log row of a job."""
        (row,) = await self.bench.pool.fetch(
            "SELECT * FROM delivery.delivery_logs WHERE job_id = $1", job_id
        )
        return row

    async def is_settled(self, *results: Settlement) -> bool:
        """Return whether the jobs of all these results succeeded and are logged."""
        ids = [result.job_id for result in results]
        counts = await self.bench.pool.fetchrow(
            "SELECT (SELECT count(*) FROM delivery.jobs WHERE id = ANY ($1)"
            " AND status = 'succeeded'),"
            " (SELECT count(*) FROM delivery.delivery_logs WHERE job_id = ANY ($1))",
            ids,
        )
        assert counts is not None
        return tuple(counts) == (len(ids), len(ids))


@asynccontextmanager
async def settling(bench: Bench, *, patience: float = 5.0) -> AsyncIterator[Settling]:
    """Run a settler within the block."""
    held, events = HeldLeases(), EventBus()
    telling = Announcements(
        bench.pool,
        OperationalTriggers(bench.pool, bench.ids, Waker(bench.pool, notifications=False), events),
    )
    disabling = Disabling(telling)
    written: list[Settlement] = []
    events.on(ResultsWritten, lambda event: written.extend(event.results))
    writer = SettleWriter(bench.pool, bench.worker_id, held, telling, patience=patience)
    settler = Settler(bench.pool, Clock(), held, writer, disabling, events)
    running = [asyncio.create_task(role()) for role in (settler.run, telling.run, disabling.run)]
    try:
        yield Settling(bench, held, settler, telling, written)
    finally:
        for task in running:
            assert not task.done(), "no error ends a role"
            task.cancel()
        await asyncio.wait(running)


@asynccontextmanager
async def rig(url: str, *, patience: float = 5.0) -> AsyncIterator[tuple[Bench, Settling]]:
    """Open a bench on the database and run a settler on it."""
    async with opened(url) as bench, settling(bench, patience=patience) as running:
        yield bench, running


@asynccontextmanager
async def owning(url: str) -> AsyncIterator[asyncpg.Connection[asyncpg.Record]]:
    """Open a connection of the owner, separate from all pools."""
    connection = await asyncpg.connect(url)
    try:
        yield connection
    finally:
        await connection.close()

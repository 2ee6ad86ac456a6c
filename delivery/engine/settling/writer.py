"""Writer of batches of results, with a bounded wait for locks."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from delivery.store.settlements import Settled, limit_lock_waits, settle

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID

    from delivery.engine.announcements import Announce, Announcements
    from delivery.queue.held_leases import HeldLeases
    from delivery.store.driver.connection import Connection, Pool
    from delivery.store.settlements import Settlement

__all__ = ["SettleWriter"]


class SettleWriter:
    """Writes the results of one worker.

    Args:
        pool: Database.
        worker_id: Holder of the leases.
        held: Leases of this worker.
        announcements: Announces exhausted jobs.
        patience: Seconds that a batch may take before it is cancelled and written carefully. Grows
            with a slow database.
    """

    def __init__(
        self,
        pool: Pool,
        worker_id: UUID,
        held: HeldLeases,
        announcements: Announcements,
        *,
        patience: float = 5.0,
    ) -> None:
        self._pool = pool
        self._worker_id = worker_id
        self._held = held
        self._announcements = announcements
        self._patience = patience

    async def settle(self, batch: Sequence[Settlement]) -> Settled:
        """Write a batch; cancel a write that takes long, and write carefully.

        Raises:
            Exception: Nothing was written, or that is unknown.
        """
        deadline = asyncio.timeout(self._patience)
        try:
            async with deadline:
                if _has_exhausted(batch):
                    return await self._in_transaction(batch)
                return await settle(self._pool, self._worker_id, batch, self._finished(batch))
        except TimeoutError:
            if not deadline.expired():
                raise
        return await self.settle_carefully(batch)

    async def settle_carefully(self, batch: Sequence[Settlement]) -> Settled:
        """Write a batch, and fail soon if one of its rows remains locked.

        Raises:
            Exception: Nothing was written, or that is unknown.
        """
        began = time.monotonic()
        settled = await self._in_transaction(batch, carefully=True)
        # No lock lasted, so the database itself needs this time.
        self._patience = max(self._patience, 2 * (time.monotonic() - began))
        return settled

    async def _in_transaction(
        self, batch: Sequence[Settlement], *, carefully: bool = False
    ) -> Settled:
        async def work(connection: Connection, announce: Announce) -> Settled:
            if carefully:
                await limit_lock_waits(connection)
            settled = await settle(connection, self._worker_id, batch, self._finished(batch))
            if settled.exhausted:
                await announce(connection, settled.exhausted)
            return settled

        return await self._announcements.transact(work)

    def _finished(self, batch: Sequence[Settlement]) -> list[UUID]:
        return self._held.finished_with(batch)


def _has_exhausted(batch: Sequence[Settlement]) -> bool:
    # A loop: a generator expression costs one call per delivery.
    for settlement in batch:  # noqa: SIM110
        if settlement.exhausted:
            return True
    return False

"""Writes a batch of results with a bounded wait for locks."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from delivery.store.settlements import Settled, limit_lock_waits, settle

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID

    from delivery.engine.announcements import Announcements, Tell
    from delivery.queue.held_leases import HeldLeases
    from delivery.store.driver.connection import Connection, Pool
    from delivery.store.settlements import Settlement

__all__ = ["SettleWriter"]


class SettleWriter:
    """Writes the results of one worker.

    Args:
        pool: Where to write.
        worker_id: The holder of the leases.
        held: The leases of this process.
        telling: Announces jobs that used up their attempts.
        patience: Seconds that a batch may take before it is cancelled and written carefully.
            Where the database is that slow, more.
    """

    def __init__(
        self,
        pool: Pool,
        worker_id: UUID,
        held: HeldLeases,
        telling: Announcements,
        *,
        patience: float = 5.0,
    ) -> None:
        self._pool = pool
        self._worker_id = worker_id
        self._held = held
        self._telling = telling
        self._patience = patience

    async def settle(self, batch: Sequence[Settlement]) -> Settled:
        """Write a batch; one that takes long is cancelled and written carefully.

        Raises:
            Exception: Nothing was written, or it is not known.
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
        """Write a batch, and fail soon where somebody keeps a lock on one of its rows.

        Raises:
            Exception: Nothing was written, or it is not known.
        """
        began = time.monotonic()
        settled = await self._in_transaction(batch, carefully=True)
        # There was no lock that lasts, so a statement that takes this long is slow.
        self._patience = max(self._patience, 2 * (time.monotonic() - began))
        return settled

    async def _in_transaction(
        self, batch: Sequence[Settlement], *, carefully: bool = False
    ) -> Settled:
        async def work(connection: Connection, tell: Tell) -> Settled:
            if carefully:
                await limit_lock_waits(connection)
            settled = await settle(connection, self._worker_id, batch, self._finished(batch))
            if settled.exhausted:
                await tell(connection, settled.exhausted)
            return settled

        return await self._telling.transact(work)

    def _finished(self, batch: Sequence[Settlement]) -> list[UUID]:
        return self._held.finished_with(batch)


def _has_exhausted(batch: Sequence[Settlement]) -> bool:
    # A loop: a generator expression costs one call per delivery.
    for settlement in batch:  # noqa: SIM110
        if settlement.exhausted:
            return True
    return False

"""Writes what happened: collects the results of calls and settles them in batches, one at a time.

While one batch is being written the next one gathers, so batches grow with the load by themselves.
A batch that could not be written is kept and written again, unchanged, until the database is back.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final

from delivery.store import partitions
from delivery.store.failures import ALREADY_THERE, CONNECTION_ERRORS, REFUSED_DATA
from delivery.store.settlements import Settlement, settle
from delivery.store.transaction import transaction

if TYPE_CHECKING:
    from collections.abc import Callable
    from uuid import UUID

    from delivery.engine.announcer import Announcer
    from delivery.engine.held_leases import HeldLeases
    from delivery.store.connection import Pool

__all__ = ["Settler"]

logger = logging.getLogger(__name__)

_BATCH: Final = 500
_MAX_BACKOFF: Final = 5.0


class Settler:
    """The only writer of results in this process.

    Args:
        pool: Where to write.
        worker_id: Whose leases they are.
        held: The leases of this process.
        announcer: Tells of reactions that are disabled and jobs that used up their attempts.
        on_settled: Called with every batch once it is written.
        on_healing: Called with reactions whose calls failed, and whose endpoint settles jobs again.
    """

    def __init__(
        self,
        pool: Pool,
        worker_id: UUID,
        held: HeldLeases,
        announcer: Announcer,
        on_settled: Callable[[list[Settlement]], None],
        on_healing: Callable[[list[UUID]], None],
    ) -> None:
        self._pool = pool
        self._announcer = announcer
        self._on_healing = on_healing
        self._worker_id = worker_id
        self._held = held
        self._on_settled = on_settled
        self._waiting: list[Settlement] = []
        self._writing = 0
        self._to_disable: dict[UUID, str] = {}
        self._work = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()

    def add(self, settlement: Settlement) -> None:
        """Take a result; it is written soon."""
        if not self._waiting:
            self._work.set()
            self._idle.clear()
        self._waiting.append(settlement)

    def disable(self, reaction_id: UUID, reason: str) -> None:
        """Disable a reaction together with the next batch that is written."""
        self._to_disable[reaction_id] = reason

    @property
    def unwritten(self) -> int:
        """How many results are held in memory only."""
        return len(self._waiting) + self._writing

    async def drained(self) -> None:
        """Wait until all results are written."""
        await self._idle.wait()

    async def run(self) -> None:
        """Write results until cancelled."""
        while True:
            await self._work.wait()
            batch = self._waiting[:_BATCH]
            del self._waiting[: len(batch)]
            self._writing = len(batch)
            await self._write_until_done(batch)
            self._writing = 0
            if not self._waiting:
                self._work.clear()
                self._idle.set()

    async def _write_until_done(self, batch: list[Settlement]) -> None:
        backoff = 0.05
        while True:
            try:
                await self._write(batch)
            except REFUSED_DATA as error:
                await self._write_apart(batch, error)
                return
            except Exception as error:
                # Also what nobody foresaw: a result that is let go here would be lost.
                logger.log(
                    logging.WARNING if isinstance(error, CONNECTION_ERRORS) else logging.CRITICAL,
                    "%d results could not be written (%s); they are kept, trying again in %.1f s",
                    self.unwritten,
                    error,
                    backoff,
                    exc_info=not isinstance(error, CONNECTION_ERRORS),
                )
                await asyncio.sleep(backoff)
                backoff = min(backoff * 2, _MAX_BACKOFF)
            else:
                return

    async def _write(self, batch: list[Settlement]) -> None:
        lease_ids = [settlement.lease_id for settlement in batch]
        finished = self._held.finished_with(lease_ids)
        disabling = dict(self._to_disable)
        if disabling or any(settlement.exhausted for settlement in batch):
            # What is told, and what it tells of, are written together or not at all.
            async with transaction(self._pool) as connection:
                settled = await settle(connection, self._worker_id, batch, finished)
                if disabling:
                    await self._announcer.disable(connection, disabling)
                if settled.exhausted:
                    await self._announcer.tell_of_exhausted(connection, settled.exhausted)
            for reaction_id in disabling:
                self._to_disable.pop(reaction_id, None)
        else:
            settled = await settle(self._pool, self._worker_id, batch, finished)
        self._held.settled(lease_ids)
        self._on_settled(batch)
        if settled.healing:
            self._on_healing(settled.healing)

    async def _write_apart(self, batch: list[Settlement], error: Exception) -> None:
        """Find the results that the database refuses, by halves, so that the others are written."""
        if len(batch) > 1:
            # Most often a day's partition is missing, because nothing ran while it should have been
            # made.
            await partitions.ensure_partitions(self._pool, 1)
            middle = len(batch) // 2
            await self._write_until_done(batch[:middle])
            await self._write_until_done(batch[middle:])
            return
        if isinstance(error, ALREADY_THERE):
            # The same write was under way before, and its answer was lost.
            await self._write_until_done([batch[0]._replace(log_id=None)])
            return
        logger.critical(
            "the database refused the result of job %s; it is written without its exchange: %s",
            batch[0].job_id,
            error,
        )
        await self._write_until_done([_without_exchange(batch[0], str(error))])


def _without_exchange(refused: Settlement, reason: str) -> Settlement:
    """The same result with only what the database cannot refuse."""
    return refused._replace(
        error=f"the log row could not be stored: {reason}".replace("\0", "")[:1000],
        method="?",
        endpoint="?",
        remote_address=None,
        request_head=None,
        request_body=None,
        response_head=None,
        response_body=None,
    )

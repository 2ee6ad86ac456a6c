"""Compares leases with the jobs that this process holds, lease by lease and job by job."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from delivery.engine.windows import CallEnd
from delivery.store import leases

if TYPE_CHECKING:
    from uuid import UUID

    from delivery.engine.dispatcher import Dispatcher
    from delivery.engine.held_leases import HeldJob, HeldLeases
    from delivery.engine.reaper import Reaper
    from delivery.engine.sender import Sender
    from delivery.engine.settler import Settler
    from delivery.store.connection import Pool

__all__ = ["LeaseAudit"]

logger = logging.getLogger(__name__)


class LeaseAudit:
    """Looks after each heartbeat for leases and jobs that one side knows and the other does not.

    - A lease that is held here and gone in the database was reaped: its waiting calls must not
      start.
    - A lease in the database that is unknown here, twice in a row, is a claim of which the response
      was lost: its jobs go back.
    - A job that is unsettled in a lease held here, and that no part of this process has in hand,
      twice in a row, was forgotten by a mistake of the engine's own: it is taken over. The other
      jobs of its lease are left alone.

    The last comparison needs the database only if it finds something.
    """

    def __init__(
        self,
        pool: Pool,
        worker_id: UUID,
        held: HeldLeases,
        dispatcher: Dispatcher,
        sender: Sender,
        settler: Settler,
        reaper: Reaper,
    ) -> None:
        self._pool = pool
        self._worker_id = worker_id
        self._held = held
        self._dispatcher = dispatcher
        self._sender = sender
        self._settler = settler
        self._reaper = reaper
        self._unknown: set[UUID] = set()
        self._forgotten: set[HeldJob] = set()

    async def look(self) -> None:
        """Look once, and repair a difference that was found twice in a row.

        A difference that cannot be repaired now is found again next time. It must not look like a
        failure of the heartbeat, because then the worker would start no more calls.

        Raises:
            DatabaseError: if the leases cannot be read.
        """
        await self._compare_leases()
        await self._compare_jobs()

    async def _compare_leases(self) -> None:
        open_before = self._held.open()
        owned = await leases.owned_by(self._pool, self._worker_id)
        reaped = (open_before & self._held.open()) - owned
        if reaped:
            self._sender.drop(reaped)
            for lease_id in reaped:
                self._held.given_up(lease_id)
        unknown = owned - self._held.known() - open_before
        again, self._unknown = unknown & self._unknown, unknown
        for lease_id in again:
            try:
                await self._reaper.recover(lease_id)
            except Exception as error:  # noqa: BLE001 - see `look`
                await self._reaper.after_refusal(lease_id, error)

    async def _compare_jobs(self) -> None:
        # No await within this: jobs go from hand to hand between two steps of the event loop.
        in_hand = {
            *self._dispatcher.in_hand(),
            *self._sender.in_hand(),
            *self._settler.in_hand(),
        }
        forgotten = self._held.forgotten(in_hand)
        again, self._forgotten = forgotten & self._forgotten, forgotten
        by_lease: dict[UUID, dict[UUID, bool]] = {}
        for lease_id, job_id in again:
            jobs = by_lease.setdefault(lease_id, {})
            jobs[job_id] = self._held.has_begun(lease_id, job_id)
        for lease_id, jobs in by_lease.items():
            try:
                await self._take_over(lease_id, jobs)
            except Exception as error:  # noqa: BLE001 - see `look`
                await self._reaper.after_refusal(lease_id, error)

    async def _take_over(self, lease_id: UUID, jobs: dict[UUID, bool]) -> None:
        pairs = [(lease_id, job_id) for job_id in jobs]
        finished = bool(self._held.finished_with(pairs))
        settlements = await self._reaper.take_over(lease_id, jobs, finished=finished)
        self._held.settled(pairs)
        self._forgotten.difference_update(pairs)
        for settlement in settlements:
            if not jobs[settlement.job_id]:
                # It never left the sender, and is still counted there among the jobs of its lane.
                self._dispatcher.job_left(settlement.lane, CallEnd.NOT_CALLED)
        self._dispatcher.settled(settlements)
        logger.critical(
            "%d jobs of lease %s were held, but no part of the worker had them in hand: they run"
            " again",
            len(settlements),
            lease_id,
        )

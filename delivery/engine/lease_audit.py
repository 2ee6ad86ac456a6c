"""Audit of leases: comparison with the jobs that this worker holds."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from delivery.engine.events import emit_results
from delivery.queue.windows import CallEnd
from delivery.store import leases

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from uuid import UUID

    from delivery.engine.events import EventBus
    from delivery.engine.executor import Executor
    from delivery.engine.intake import Intake
    from delivery.engine.reaper import Reaper
    from delivery.engine.settling.settler import Settler
    from delivery.queue.consumer import JobConsumer
    from delivery.queue.held_leases import HeldJob, HeldLeases
    from delivery.store.driver.connection import Pool

__all__ = ["LeaseAudit"]

logger = logging.getLogger(__name__)


class LeaseAudit:
    """Finds and repairs differences between the leases here and in the database.

    - A lease that is held here and gone in the database was reaped: its waiting jobs must not
      start.
    - A lease in the database that is unknown here, twice in a row, belongs to a claim whose
      response was lost: its jobs return to the queue.
    - An unsettled job of a lease held here that no part of this worker has, twice in a row, was
      forgotten because of an error in the engine: it is taken over. The other jobs of its lease
      remain as they are.

    `compare` runs with each heartbeat, so it never waits for a lock. `run` repairs the
    differences, with a bounded wait for locks.
    """

    def __init__(
        self,
        pool: Pool,
        worker_id: UUID,
        held: HeldLeases,
        consumer: JobConsumer,
        intake: Intake,
        executor: Executor,
        settler: Settler,
        reaper: Reaper,
        events: EventBus,
    ) -> None:
        self._pool = pool
        self._worker_id = worker_id
        self._held = held
        self._consumer = consumer
        self._intake = intake
        self._executor = executor
        self._settler = settler
        self._reaper = reaper
        self._events = events
        self._unknown: set[UUID] = set()
        self._forgotten: set[HeldJob] = set()
        self._to_recover: set[UUID] = set()
        self._to_take_over: set[HeldJob] = set()
        self._found = asyncio.Event()

    async def compare(self) -> None:
        """Compare once, and leave a difference found twice in a row to `run`.

        A difference that cannot be repaired now is found again by the next comparison.

        Raises:
            DatabaseError: The leases cannot be read.
        """
        await self._compare_leases()
        self._compare_jobs()
        if self._to_recover or self._to_take_over:
            self._found.set()

    async def run(self) -> None:
        """Repair the differences of the last comparison, until cancelled."""
        while True:
            await self._found.wait()
            self._found.clear()
            # A comparison during a repair finds the same difference again, so each lease is checked
            # again right before its own repair.
            for lease_id in list(self._to_recover):
                await self._repair(lease_id, self._recover)
            for lease_id in {lease_id for lease_id, _ in self._to_take_over}:
                await self._repair(lease_id, self._take_over)

    async def _repair(self, lease_id: UUID, repair: Callable[[UUID], Awaitable[None]]) -> None:
        try:
            await repair(lease_id)
        except Exception as error:  # noqa: BLE001 - one lease must not block the others
            await self._reaper.after_refusal(lease_id, error)

    async def _compare_leases(self) -> None:
        open_before = self._held.open()
        owned = await leases.owned_by(self._pool, self._worker_id)
        reaped = (open_before & self._held.open()) - owned
        if reaped:
            self._executor.drop(reaped)
            for lease_id in reaped:
                self._held.given_up(lease_id)
        unknown = owned - self._held.known() - open_before
        self._to_recover, self._unknown = unknown & self._unknown, unknown

    def _compare_jobs(self) -> None:
        # No await here: jobs move from part to part between two steps of the event loop.
        present = {
            *self._intake.jobs(),
            *self._executor.jobs(),
            *self._settler.jobs(),
        }
        forgotten = self._held.forgotten(present)
        self._to_take_over, self._forgotten = forgotten & self._forgotten, forgotten

    async def _recover(self, lease_id: UUID) -> None:
        if lease_id in self._to_recover and lease_id not in self._held.known():
            await self._reaper.recover(lease_id)
            self._to_recover.discard(lease_id)

    async def _take_over(self, lease_id: UUID) -> None:
        pairs = [pair for pair in self._to_take_over if pair[0] == lease_id]
        jobs = {job_id: self._held.has_begun(lease_id, job_id) for _, job_id in pairs}
        if not jobs:
            return
        finished = bool(self._held.finished_with(pairs))
        settlements = await self._reaper.take_over(lease_id, jobs, finished=finished)
        self._held.settled(pairs)
        self._forgotten.difference_update(pairs)
        self._to_take_over.difference_update(pairs)
        for settlement in settlements:
            if not jobs[settlement.job_id]:
                # The job never left the executor, so its lane still counts it.
                self._consumer.finished(settlement.lane, CallEnd.NOT_CALLED)
        emit_results(self._events, settlements, ())
        logger.critical(
            "%d jobs of lease %s were held, but no part of the worker had them: they run again",
            len(settlements),
            lease_id,
        )

"""Brings back the jobs of workers that died.

A worker is held to be dead when its heartbeat did not change while this reaper watched it, without
a gap, for `dead_after` seconds of its own monotonic clock. Neither a clock that jumps nor an outage
of the database, during which nobody's heartbeat could be written, makes a living worker look dead.
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING, Final

from delivery.errors import ReadOnlyDatabase
from delivery.models import FailureKind, JobStatus, Outcome
from delivery.policy.stall import after_stall
from delivery.store import leases
from delivery.store.failures import CONNECTION_ERRORS
from delivery.store.settlements import Settlement, settle
from delivery.store.transaction import transaction

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID

    from delivery.clock import Clock, IdFactory
    from delivery.engine.announcer import Announcer
    from delivery.store.connection import Connection, Pool
    from delivery.store.leases import UnsettledJob

__all__ = ["Reaper"]

logger = logging.getLogger(__name__)

_LOST: Final = "the worker died before the result was recorded; the request may have been received"


class Reaper:
    """Watches those who hold leases, and settles the leases of the dead."""

    def __init__(
        self,
        pool: Pool,
        worker_id: UUID,
        clock: Clock,
        ids: IdFactory,
        announcer: Announcer,
        *,
        interval: float,
        dead_after: float,
        max_stalls: int,
    ) -> None:
        self._pool = pool
        self._worker_id = worker_id
        self._clock = clock
        self._ids = ids
        self._announcer = announcer
        self._interval = interval
        self._dead_after = dead_after
        self._max_stalls = max_stalls
        self._watched: dict[UUID, tuple[datetime | None, float]] = {}
        """Per holder: the heartbeat as last seen, and since when it has been that."""
        self._paused_at = 0.0
        """When the last look, with all that followed from it, was over."""

    async def run(self) -> None:
        """Watch until cancelled."""
        while True:
            try:
                for worker_id, seen_at in await self._dead_holders():
                    await self._reap(worker_id, seen_at)
                self._paused_at = time.monotonic()
            except CONNECTION_ERRORS as error:
                self._watched.clear()
                if isinstance(error, ReadOnlyDatabase):
                    self._pool.expire()
                logger.warning("leases could not be looked through: %s", error)
            await asyncio.sleep(self._interval)

    async def _dead_holders(self) -> list[tuple[UUID, datetime | None]]:
        asked_at = time.monotonic()
        holders = await leases.holders(self._pool)
        answered_at = time.monotonic()
        late = answered_at - asked_at > self._dead_after / 2
        unwatched = asked_at - self._paused_at > self._dead_after / 2 + self._interval
        if late or unwatched:
            # A response this late says that the database did not respond to others either; after a
            # pause this long nobody knows whether it did.
            self._watched.clear()
        watched: dict[UUID, tuple[datetime | None, float]] = {}
        for worker_id, seen_at in holders.items():
            before = self._watched.get(worker_id)
            unchanged = before is not None and before[0] == seen_at
            watched[worker_id] = (
                before if before is not None and unchanged else (seen_at, answered_at)
            )
        self._watched = watched
        return [
            (worker_id, seen_at)
            for worker_id, (seen_at, since) in watched.items()
            if worker_id != self._worker_id and asked_at - since >= self._dead_after
        ]

    async def _reap(self, worker_id: UUID, seen_at: datetime | None) -> None:
        lost = 0
        while (jobs := await self._reap_lease(worker_id, seen_at)) is not None:
            lost += jobs
        if lost:
            logger.warning("worker %s is dead: %d jobs that it held run again", worker_id, lost)

    async def _reap_lease(self, worker_id: UUID, seen_at: datetime | None) -> int | None:
        """Settle one of its leases; the number of jobs lost with it, None if there is none left."""
        async with transaction(self._pool) as connection:
            lease_id = await leases.lock_dead(connection, worker_id, seen_at)
            if lease_id is None:
                return None
            # A statement of its own: its snapshot must be newer than any settling before the lock.
            jobs = await leases.unsettled(connection, lease_id)
            await self._settle_lease(
                connection, worker_id, lease_id, [self._lost(lease_id, job) for job in jobs]
            )
            return len(jobs)

    async def recover(self, lease_id: UUID) -> None:
        """Hand back a lease of this worker's own of which it never learned what is in it.

        That is a claim that was committed although its answer was lost. Its calls were never made.
        """
        async with transaction(self._pool) as connection:
            if not await leases.lock_own(connection, lease_id, self._worker_id):
                return
            jobs = await leases.unsettled(connection, lease_id)
            await self._settle_lease(
                connection,
                self._worker_id,
                lease_id,
                [self._handed_back(lease_id, job) for job in jobs],
            )
        logger.warning("%d jobs of an unanswered claim go back to the queue", len(jobs))

    async def _settle_lease(
        self,
        connection: Connection,
        worker_id: UUID,
        lease_id: UUID,
        settlements: list[Settlement],
    ) -> None:
        if settlements:
            settled = await settle(connection, worker_id, settlements, [lease_id])
            if settled.exhausted:
                await self._announcer.tell_of_exhausted(connection, settled.exhausted)
        else:
            await leases.remove(connection, lease_id)

    def _lost(self, lease_id: UUID, job: UnsettledJob) -> Settlement:
        status = after_stall(job.stalls + 1, self._max_stalls)
        now = self._clock.now()
        return Settlement(
            lease_id=lease_id,
            job_id=job.job_id,
            claim=job.claim,
            lane=job.lane,
            priority=job.priority,
            status=status.value,
            attempt=job.attempt + 1,
            uncounted=job.uncounted + 1,
            run_at=now if status is JobStatus.RETRYING else None,
            exhausted=status is JobStatus.FAILED,
            failure_kind=FailureKind.STALLED.value,
            error=_LOST,
            status_code=None,
            finished_at=now,
            log_id=self._ids.new(),
            trigger_id=job.trigger_id,
            reaction_id=job.reaction_id,
            tenant_id=job.tenant_id,
            outcome=Outcome.LOST.value,
            method=job.method,
            endpoint=job.endpoint,
            stalled=True,
        )

    def _handed_back(self, lease_id: UUID, job: UnsettledJob) -> Settlement:
        return Settlement(
            lease_id=lease_id,
            job_id=job.job_id,
            claim=job.claim,
            lane=job.lane,
            priority=job.priority,
            status=JobStatus.QUEUED.value,
            attempt=job.attempt,
            uncounted=job.uncounted,
            run_at=None,
            exhausted=False,
            failure_kind=None,
            error=None,
            status_code=None,
            finished_at=self._clock.now(),
            trigger_id=job.trigger_id,
            reaction_id=job.reaction_id,
            tenant_id=job.tenant_id,
        )

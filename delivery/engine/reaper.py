"""Reaper: returns the jobs of dead workers to the queue.

A worker is considered dead when its heartbeat did not change while this reaper watched it, without
a gap, for `dead_after` seconds of the reaper's monotonic clock. Neither a clock that jumps nor an
outage of the database, in which no heartbeat can be written, makes a living worker look dead.
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING, Final

from delivery.engine.events import emit_results
from delivery.errors import ReadOnlyDatabase
from delivery.models import FailureKind, JobStatus, Outcome
from delivery.policy.lost_jobs import after_stall
from delivery.store import leases, partitions
from delivery.store.driver.failures import CONNECTION_ERRORS, cause_of, is_passing, text_of
from delivery.store.settlements import Settlement, limit_lock_waits, settle

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime
    from uuid import UUID

    from delivery.clock import Clock, IdFactory
    from delivery.engine.announcements import Announce, Announcements
    from delivery.engine.events import EventBus
    from delivery.store.driver.connection import Connection, Pool
    from delivery.store.driver.failures import Cause
    from delivery.store.leases import UnsettledJob

__all__ = ["Reaper"]

logger = logging.getLogger(__name__)

_ENSURED_DAYS: Final = 1
_FORGOTTEN: Final = (
    "the worker lost track of the call before the result was recorded; the request may have been"
    " received"
)
_LOST: Final = "the worker died before the result was recorded; the request may have been received"


class Reaper:
    """Role that watches the holders of leases, and settles the leases of dead workers."""

    def __init__(
        self,
        pool: Pool,
        worker_id: UUID,
        clock: Clock,
        ids: IdFactory,
        announcements: Announcements,
        events: EventBus,
        *,
        interval: float,
        dead_after: float,
        max_stalls: int,
    ) -> None:
        self._pool = pool
        self._worker_id = worker_id
        self._clock = clock
        self._ids = ids
        self._announcements = announcements
        self._events = events
        self._interval = interval
        self._dead_after = dead_after
        self._max_stalls = max_stalls
        self._reported: Cause | None = None
        """Last cause that was logged for refused leases."""
        self._watched: dict[UUID, tuple[datetime | None, float]] = {}
        """Last heartbeat of each holder, and the time since which it has not changed."""
        self._checked_at = 0.0
        """End of the last round."""

    async def run(self) -> None:
        """Watch until cancelled."""
        while True:
            try:
                for worker_id, seen_at in await self._dead_holders():
                    await self._reap(worker_id, seen_at)
                self._checked_at = time.monotonic()
            except CONNECTION_ERRORS as error:
                self._watched.clear()
                if isinstance(error, ReadOnlyDatabase):
                    self._pool.expire()
                logger.warning("cannot check the leases of other workers: %s", text_of(error))
            await asyncio.sleep(self._interval)

    async def _dead_holders(self) -> list[tuple[UUID, datetime | None]]:
        asked_at = time.monotonic()
        holders = await leases.holders(self._pool)
        answered_at = time.monotonic()
        late = answered_at - asked_at > self._dead_after / 2
        unwatched = asked_at - self._checked_at > self._dead_after / 2 + self._interval
        if late or unwatched:
            # With such a late response, other workers may not have got theirs either. After such a
            # long pause, that is unknown.
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
        """Settle the leases of a worker; a refused one does not block the others."""
        lost = 0
        refused: list[UUID] = []
        while (jobs := await self._reap_lease(worker_id, seen_at, refused)) is not None:
            lost += jobs
        if not refused:
            self._reported = None
        if lost:
            logger.warning("worker %s is dead: %d jobs that it held run again", worker_id, lost)

    async def _reap_lease(
        self, worker_id: UUID, seen_at: datetime | None, refused: list[UUID]
    ) -> int | None:
        """Settle one lease of a worker, except the refused ones.

        Returns:
            The number of jobs lost with the lease. None without another lease.
        """
        lease_id: UUID | None = None

        async def work(connection: Connection, announce: Announce) -> list[Settlement] | None:
            nonlocal lease_id
            lease_id = await leases.lock_dead(connection, worker_id, seen_at, refused)
            if lease_id is None:
                return None
            # A separate statement: its snapshot must be newer than all results before the lock.
            jobs = await leases.unsettled(connection, lease_id)
            lost = [self._lost(lease_id, job, _LOST) for job in jobs]
            await self._settle_lease(connection, announce, worker_id, lease_id, lost)
            return lost

        try:
            lost = await self._announcements.transact(work)
        except CONNECTION_ERRORS as error:
            if lease_id is None or is_passing(error):
                raise
            refused.append(lease_id)
            await self.after_refusal(lease_id, error)
            return 0
        if lost is None:
            return None
        emit_results(self._events, lost, ())
        return len(lost)

    async def after_refusal(self, lease_id: UUID, error: BaseException) -> None:
        """Report why a lease could not be settled, once per cause; make missing partitions."""
        cause = cause_of(error)
        if cause != self._reported:
            self._reported = cause
            logger.critical(
                "cannot return the jobs of lease %s to the queue; retrying; further errors are not"
                " logged: %s",
                lease_id,
                text_of(error),
            )
        if cause.is_missing_partition:
            try:
                await partitions.ensure_partitions(self._pool, _ENSURED_DAYS)
            except CONNECTION_ERRORS as failed:
                logger.info("cannot make partitions: %s", text_of(failed))

    async def recover(self, lease_id: UUID) -> None:
        """Return the jobs of a claim of this worker whose response was lost.

        The claim was committed, but its jobs never reached the worker, so no call was made.
        """

        async def work(connection: Connection, announce: Announce) -> int | None:
            await limit_lock_waits(connection)
            if not await leases.lock_own(connection, lease_id, self._worker_id):
                return None
            jobs = await leases.unsettled(connection, lease_id)
            handed_back = [self._handed_back(lease_id, job) for job in jobs]
            await self._settle_lease(connection, announce, self._worker_id, lease_id, handed_back)
            return len(jobs)

        jobs = await self._announcements.transact(work)
        self._reported = None
        if jobs is not None:
            logger.warning("%d jobs of a claim whose response was lost return to the queue", jobs)

    async def take_over(
        self, lease_id: UUID, forgotten: Mapping[UUID, bool], *, finished: bool
    ) -> list[Settlement]:
        """Settle forgotten jobs in a lease of this worker, and none of the other jobs in it.

        Args:
            lease_id: Lease.
            forgotten: Forgotten jobs. True for a job whose call has begun: the request may have
                been received, so the attempt is logged as lost. Other jobs return as they were.
            finished: True if no other job of the lease is unsettled.

        Returns:
            The results that were written.
        """

        async def work(connection: Connection, announce: Announce) -> list[Settlement]:
            await limit_lock_waits(connection)
            if not await leases.lock_own(connection, lease_id, self._worker_id):
                return []
            settlements = [
                self._lost(lease_id, job, _FORGOTTEN)
                if forgotten[job.job_id]
                else self._handed_back(lease_id, job)
                for job in await leases.unsettled(connection, lease_id)
                if job.job_id in forgotten
            ]
            await self._settle_lease(
                connection, announce, self._worker_id, lease_id, settlements, finished=finished
            )
            return settlements

        settlements = await self._announcements.transact(work)
        self._reported = None
        return settlements

    async def _settle_lease(
        self,
        connection: Connection,
        announce: Announce,
        worker_id: UUID,
        lease_id: UUID,
        settlements: list[Settlement],
        *,
        finished: bool = True,
    ) -> None:
        if settlements:
            settled = await settle(
                connection, worker_id, settlements, [lease_id] if finished else []
            )
            if settled.exhausted:
                await announce(connection, settled.exhausted)
        elif finished:
            await leases.remove(connection, lease_id)

    def _lost(self, lease_id: UUID, job: UnsettledJob, reason: str) -> Settlement:
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
            error=reason,
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

"""Intake of claimed jobs: their calls are loaded, and jobs that must not run are settled."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final

from delivery.engine.settling import results
from delivery.engine.yielding import LoopYielder
from delivery.models import FailureKind
from delivery.queue.windows import CallEnd
from delivery.store.driver.failures import CONNECTION_ERRORS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from uuid import UUID

    from delivery.clock import Clock
    from delivery.engine.executor import Executor
    from delivery.engine.runners.prepared_calls import PreparedCalls
    from delivery.engine.settling.settler import Settler
    from delivery.queue.consumer import JobConsumer
    from delivery.queue.held_leases import HeldJob
    from delivery.queue.port import Reservation
    from delivery.store.queue import ClaimedJob

__all__ = ["Intake"]

logger = logging.getLogger(__name__)

_MIN_BACKOFF: Final = 0.05
_MAX_BACKOFF: Final = 5.0


class Intake:
    """Takes reservations from the queue, and hands their jobs to the executor.

    Args:
        calls: Calls of the reactions.
        executor: Runs the jobs.
        settler: Receives the results of jobs that must not run.
        consumer: Is informed about these jobs.
        clock: Shows whether it is too late for an attempt.
    """

    def __init__(
        self,
        calls: PreparedCalls,
        executor: Executor,
        settler: Settler,
        consumer: JobConsumer,
        clock: Clock,
    ) -> None:
        self._calls = calls
        self._executor = executor
        self._settler = settler
        self._consumer = consumer
        self._clock = clock
        self._yielder = LoopYielder()
        self._reservation: Reservation | None = None
        """Jobs that neither the executor nor the settler may have yet."""

    def jobs(self) -> Iterator[HeldJob]:
        """Return the jobs that were claimed and are not yet handed over."""
        if self._reservation is not None:
            lease_id, jobs = self._reservation
            for job in jobs:
                yield lease_id, job.job_id

    async def take(self, reservation: Reservation) -> None:
        """Pass each job to the executor, or settle it if it must not run."""
        lease_id, jobs = reservation
        taken = 0
        self._reservation = reservation
        try:
            await self._load_calls(jobs)
            now = self._clock.now()
            self._yielder.begin()
            for job in jobs:
                try:
                    self._take_one(lease_id, job, now)
                except Exception as error:  # noqa: BLE001 - costs nothing until it happens
                    # Otherwise this job would return with all the others, again and again.
                    self._fail(lease_id, job, now, error)
                taken += 1
                if job.params is not None:
                    # The call of a direct job is prepared here, which may take long.
                    await self._yielder.take()
                    now = self._clock.now()
        except BaseException:
            # The worker stops, or this is an error of the engine: the remaining jobs go back.
            now = self._clock.now()
            for job in jobs[taken:]:
                self._settler.add(results.handed_back(lease_id, job, now))
                self._consumer.finished(job.lane, CallEnd.NOT_CALLED)
            raise
        finally:
            self._reservation = None
        self._executor.start_waiting()

    def _take_one(self, lease_id: UUID, job: ClaimedJob, now: float) -> None:
        call = self._calls.get(job)
        refusal = results.refusal(lease_id, job, call, now)
        if refusal is not None:
            self._settler.add(refusal)
            self._consumer.finished(job.lane, CallEnd.NOT_CALLED)
        elif not isinstance(call, Exception):
            self._consumer.set_cap(job.lane, call.concurrency)
            self._executor.submit(lease_id, job, call)

    def _fail(self, lease_id: UUID, job: ClaimedJob, now: float, error: Exception) -> None:
        logger.error("job %s cannot be prepared and fails", job.job_id, exc_info=error)
        reason = f"the job cannot be prepared: {type(error).__name__}: {error}"
        self._settler.add(results.failed_unsent(lease_id, job, now, FailureKind.INTERNAL, reason))
        self._consumer.finished(job.lane, CallEnd.NOT_CALLED)

    async def _load_calls(self, jobs: list[ClaimedJob]) -> None:
        backoff = _MIN_BACKOFF
        while True:
            try:
                await self._calls.load(jobs)
            except CONNECTION_ERRORS as error:
                logger.warning("cannot read reactions (%s); retrying in %.2f s", error, backoff)
                await asyncio.sleep(backoff)
                backoff = min(backoff * 2, _MAX_BACKOFF)
            else:
                return

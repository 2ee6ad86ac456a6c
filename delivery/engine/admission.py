"""Admission of claimed jobs: the checks right before a job runs, and its return to the queue."""

from __future__ import annotations

from typing import TYPE_CHECKING

from delivery.engine.settling import results
from delivery.queue.windows import CallEnd

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from uuid import UUID

    from delivery.clock import Clock
    from delivery.engine.runners.attempt import Attempt
    from delivery.engine.runners.slot_waiters import SlotWaiters
    from delivery.engine.settling.settler import Settler

__all__ = ["Admission"]


class Admission:
    """Decides whether a job may run now, and settles jobs that do not run.

    Args:
        waiters: Takes jobs that have to wait for a slot at their endpoint.
        settler: Receives the results of jobs that do not run.
        clock: Shows whether it is too late for an attempt.
        on_finished: Function that receives the lane of each job that leaves the executor.
    """

    def __init__(
        self,
        waiters: SlotWaiters,
        settler: Settler,
        clock: Clock,
        on_finished: Callable[[UUID, CallEnd], None],
    ) -> None:
        self._waiters = waiters
        self._settler = settler
        self._clock = clock
        self._on_finished = on_finished

    def admits(self, attempt: Attempt) -> bool:
        """Return whether a job may run now; settle it, or let it wait for a slot, if not."""
        job, call = attempt.job, attempt.call
        result = None
        if attempt.slot is not None:
            result = results.refusal(attempt.lease_id, job, call, self._clock.now())
        elif job.deadline is not None or call.policy.max_elapsed is not None:
            result = results.too_late(attempt.lease_id, job, call, self._clock.now())
        if result is not None:
            self._settler.add(result)
            self.release(attempt)
            return False
        return attempt.slot is not None or not self._waiters.take(attempt)

    def hand_back(self, attempts: Iterable[Attempt]) -> None:
        """Return jobs to the queue that have not run."""
        for attempt in attempts:
            now = self._clock.now()
            result = results.handed_back(
                attempt.lease_id, attempt.job, now, reason=attempt.abort_reason
            )
            self._settler.add(result)
            self.release(attempt)

    def release(self, attempt: Attempt) -> None:
        """Release the slot and the part of the lane's window of a job that does not run."""
        if attempt.slot is not None:
            attempt.slot.release()
        self._on_finished(attempt.job.lane, CallEnd.NOT_CALLED)

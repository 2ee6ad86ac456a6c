"""Interface between the queue, which chooses the next jobs, and the engine, which runs them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from uuid import UUID

    from delivery.store.queue import ClaimedJob

__all__ = ["JobIntake", "JobRunner", "Reservation", "ResultWriter"]


class Reservation(NamedTuple):
    """Jobs that were claimed into one lease.

    The id of the lease and the number of each job's claim (`ClaimedJob.claim`) are the fence:
    results are accepted only with both.
    """

    lease_id: UUID
    jobs: list[ClaimedJob]


class JobIntake(Protocol):
    """Receiver of reservations: `delivery.engine.intake.Intake`."""

    async def take(self, reservation: Reservation) -> None:
        """Take responsibility for jobs: each of them will be settled."""


class JobRunner(Protocol):
    """Place where jobs run: `delivery.engine.executor.Executor`."""

    @property
    def load(self) -> int:
        """Number of jobs that run or wait to run."""

    def start_waiting(self) -> None:
        """Start waiting jobs if there is room."""


class ResultWriter(Protocol):
    """Writer of results: `delivery.engine.settling.settler.Settler`."""

    @property
    def unwritten(self) -> int:
        """Number of results that are only in memory."""

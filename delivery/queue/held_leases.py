"""Leases that this worker holds, and their unsettled jobs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from uuid import UUID

__all__ = ["HeldJob", "HeldLeases"]

HeldJob: TypeAlias = "tuple[UUID, UUID]"
"""Ids of a lease and of a job in it."""


class HeldLeases:
    """Unsettled jobs by lease. None for a lease whose claim is under way.

    Ids are stored, not numbers of jobs: a result that is added twice, or lost, must never let a
    lease be removed while a job in it is unsettled.
    """

    def __init__(self) -> None:
        self._unsettled: dict[UUID, dict[UUID, bool] | None] = {}
        """For each lease, its jobs. True for jobs whose calls have begun."""

    def opening(self, lease_id: UUID) -> None:
        """Note that a claim into this lease will be sent."""
        self._unsettled[lease_id] = None

    def opened(self, lease_id: UUID, jobs: Iterable[UUID]) -> None:
        """Note the jobs of a claim; an empty claim makes no lease."""
        held = dict.fromkeys(jobs, False)
        if held:
            self._unsettled[lease_id] = held
        else:
            self._unsettled.pop(lease_id, None)

    def begun(self, lease_id: UUID, job_id: UUID) -> None:
        """Note that the call of a job begins."""
        jobs = self._unsettled.get(lease_id)
        if jobs is not None and job_id in jobs:
            jobs[job_id] = True

    def has_begun(self, lease_id: UUID, job_id: UUID) -> bool:
        """Return whether the call of an unsettled job has begun."""
        jobs = self._unsettled.get(lease_id)
        return jobs is not None and jobs.get(job_id, False)

    def given_up(self, lease_id: UUID) -> None:
        """Forget a lease that was reaped or whose claim failed; the audit finds it if it exists."""
        self._unsettled.pop(lease_id, None)

    def finished_with(self, settled: Iterable[Sequence[Any]]) -> list[UUID]:
        """Return the leases without unsettled jobs once these settlements are written.

        The first two fields of a settlement are its lease and its job. They are read by position,
        since this runs for every delivery.
        """
        settling: dict[UUID, set[UUID]] = {}
        for each in settled:
            jobs = settling.get(each[0])
            if jobs is None:
                settling[each[0]] = {each[1]}
            else:
                jobs.add(each[1])
        return [
            lease_id
            for lease_id, jobs in settling.items()
            if (held := self._unsettled.get(lease_id)) is not None and held.keys() <= jobs
        ]

    def settled(self, settled: Iterable[Sequence[Any]]) -> None:
        """Remove settled jobs from their leases, and leases without unsettled jobs."""
        unsettled = self._unsettled
        for each in settled:
            jobs = unsettled.get(each[0])
            if jobs is not None:
                jobs.pop(each[1], None)
                if not jobs:
                    del unsettled[each[0]]

    def known(self) -> set[UUID]:
        """Return all leases, including those whose claims are under way."""
        return set(self._unsettled)

    def open(self) -> set[UUID]:
        """Return the leases whose claims have returned."""
        return {lease_id for lease_id, jobs in self._unsettled.items() if jobs is not None}

    def forgotten(self, in_hand: set[HeldJob]) -> set[HeldJob]:
        """Return the unsettled jobs that no part of the worker has."""
        return {
            held
            for lease_id, jobs in self._unsettled.items()
            for job_id in jobs or ()
            if (held := (lease_id, job_id)) not in in_hand
        }

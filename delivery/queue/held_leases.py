"""The leases this process holds, and which of their jobs are not settled yet."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from uuid import UUID

__all__ = ["HeldJob", "HeldLeases"]

HeldJob: TypeAlias = "tuple[UUID, UUID]"
"""A lease and a job in it."""


class HeldLeases:
    """The unsettled jobs of each lease; None while its claim is under way and they are not known.

    Jobs are kept one by one rather than counted: a result that is added twice, or that is lost,
    must never let a lease be removed while a job in it is unsettled.
    """

    def __init__(self) -> None:
        self._unsettled: dict[UUID, dict[UUID, bool] | None] = {}
        """Per lease its jobs, and whether their calls have begun."""

    def opening(self, lease_id: UUID) -> None:
        """Note that a claim into this lease is about to be sent."""
        self._unsettled[lease_id] = None

    def opened(self, lease_id: UUID, jobs: Iterable[UUID]) -> None:
        """Note what the claim gave; a claim of nothing makes no lease."""
        held = dict.fromkeys(jobs, False)
        if held:
            self._unsettled[lease_id] = held
        else:
            self._unsettled.pop(lease_id, None)

    def begun(self, lease_id: UUID, job_id: UUID) -> None:
        """Note that a job's call begins."""
        jobs = self._unsettled.get(lease_id)
        if jobs is not None and job_id in jobs:
            jobs[job_id] = True

    def has_begun(self, lease_id: UUID, job_id: UUID) -> bool:
        """Whether the call of an unsettled job has begun."""
        jobs = self._unsettled.get(lease_id)
        return jobs is not None and jobs.get(job_id, False)

    def given_up(self, lease_id: UUID) -> None:
        """Forget a lease whose claim failed (the audit finds it if it exists) or was reaped."""
        self._unsettled.pop(lease_id, None)

    def finished_with(self, settled: Iterable[Sequence[Any]]) -> list[UUID]:
        """The leases that have nothing left once settlements of these jobs are written.

        A lease and a job are the first two fields of each; this runs once per delivery.
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
        """Take jobs with written settlements off their leases; one with none left is forgotten."""
        unsettled = self._unsettled
        for each in settled:
            jobs = unsettled.get(each[0])
            if jobs is not None:
                jobs.pop(each[1], None)
                if not jobs:
                    del unsettled[each[0]]

    def known(self) -> set[UUID]:
        """All leases held or about to be."""
        return set(self._unsettled)

    def open(self) -> set[UUID]:
        """The leases whose claim was answered."""
        return {lease_id for lease_id, jobs in self._unsettled.items() if jobs is not None}

    def forgotten(self, in_hand: set[HeldJob]) -> set[HeldJob]:
        """The unsettled jobs that are not among those that a part of the process has in hand."""
        return {
            held
            for lease_id, jobs in self._unsettled.items()
            for job_id in jobs or ()
            if (held := (lease_id, job_id)) not in in_hand
        }

"""The leases this process holds, and how many of each one's jobs are not settled yet."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from uuid import UUID

__all__ = ["HeldLeases"]


class HeldLeases:
    """A count per lease; None while its claim is under way and the number is not known."""

    def __init__(self) -> None:
        self._unsettled: dict[UUID, int | None] = {}

    def opening(self, lease_id: UUID) -> None:
        """Note that a claim into this lease is about to be sent."""
        self._unsettled[lease_id] = None

    def opened(self, lease_id: UUID, jobs: int) -> None:
        """Note what the claim gave; a claim of nothing makes no lease."""
        if jobs:
            self._unsettled[lease_id] = jobs
        else:
            self._unsettled.pop(lease_id, None)

    def given_up(self, lease_id: UUID) -> None:
        """Forget a lease whose claim failed (the audit finds it if it exists) or was reaped."""
        self._unsettled.pop(lease_id, None)

    def finished_with(self, settled: Iterable[UUID]) -> list[UUID]:
        """The leases that have nothing left once settlements with these lease ids are written."""
        counts: dict[UUID, int] = {}
        for lease_id in settled:
            counts[lease_id] = counts.get(lease_id, 0) + 1
        return [
            lease_id for lease_id, count in counts.items() if self._unsettled.get(lease_id) == count
        ]

    def settled(self, settled: Iterable[UUID]) -> None:
        """Take written settlements off their leases; a lease with none left is forgotten."""
        for lease_id in settled:
            left = self._unsettled.get(lease_id)
            if left is None:
                continue
            if left > 1:
                self._unsettled[lease_id] = left - 1
            else:
                del self._unsettled[lease_id]

    def known(self) -> set[UUID]:
        """All leases held or about to be."""
        return set(self._unsettled)

    def open(self) -> set[UUID]:
        """The leases whose claim was answered."""
        return {lease_id for lease_id, count in self._unsettled.items() if count is not None}

"""Jobs that wait for a place at their endpoint before their call begins."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable
    from uuid import UUID

    from delivery.engine.runners.prepared_calls import PreparedCall
    from delivery.http.pool import Slot
    from delivery.http.transport import SlotProvider
    from delivery.store.queue import ClaimedJob

    Entry = tuple[UUID, ClaimedJob, PreparedCall, Slot | None]
    """A lease, a job of it, its call, and the place that the job waited for."""

__all__ = ["PlaceWaiters"]


class PlaceWaiters:
    """Jobs that wait for places.

    Such a job is no call in flight: it takes no place of this process, uses up no time of its
    timeout, and can be handed back at any moment.

    Args:
        places: Gives the places.
        on_place: Called with each job that now has one.
    """

    def __init__(self, places: SlotProvider, on_place: Callable[[Entry], None]) -> None:
        self._places = places
        self._on_place = on_place
        self.entries: dict[asyncio.Future[Slot], Entry] = {}
        """The jobs that wait, by their future places."""

    def takes(self, entry: Entry) -> bool:
        """Take a job that has to wait; False: it does not have to."""
        _, job, call, _ = entry
        if self._places.has_slot(call.endpoint, job.tenant_id, job.lane):
            return False
        asked = self._places.request_slot(call.endpoint, job.tenant_id, job.lane)
        self.entries[asked] = entry
        asked.add_done_callback(self._done)
        return True

    def remove(self, leases: set[UUID] | None = None) -> list[Entry]:
        """Let go of the jobs of these leases, which wait no longer, and return them; None: all."""
        removed = []
        for asked, entry in list(self.entries.items()):
            if leases is None or entry[0] in leases:
                del self.entries[asked]
                asked.cancel()
                removed.append(entry)
        return removed

    def _done(self, asked: asyncio.Future[Slot]) -> None:
        entry = self.entries.pop(asked, None)
        if entry is not None:
            self._on_place((*entry[:3], asked.result()))
        elif not asked.cancelled():
            # It came in the same moment in which the job was let go of.
            asked.result().release()

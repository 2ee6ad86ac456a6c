"""Admission of jobs between their turn and their call: a place, and time to compute."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from delivery.engine.runners.computations import Computations
from delivery.engine.runners.place_waiters import PlaceWaiters
from delivery.engine.settling import results
from delivery.http.transport import SlotProvider
from delivery.queue.windows import CallEnd

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping
    from uuid import UUID

    from delivery.clock import Clock
    from delivery.engine.runners.place_waiters import Entry
    from delivery.engine.settling.settler import Settler
    from delivery.http.pool import Slot
    from delivery.http.transport import Transport
    from delivery.message.request.template import Rendered

__all__ = ["Admission"]


class Admission:
    """Lets calls begin, and sees to the jobs of those that do not.

    Args:
        transport: Makes the calls; it may have places that have to be waited for.
        settler: Takes the results of jobs that are not called.
        on_finished: See `Sender`.
        on_place: Called with each job that waited for a place and now has one.
    """

    def __init__(
        self,
        transport: Transport,
        settler: Settler,
        clock: Clock,
        on_finished: Callable[[UUID, CallEnd], None],
        on_place: Callable[[Entry], None],
    ) -> None:
        self._settler = settler
        self._clock = clock
        self._on_finished = on_finished
        self._parked: PlaceWaiters | None = None
        self.saturated: Collection[object] = ()
        """The endpoints at which a call may have to wait for a place; changes in place."""
        self.waiting: Mapping[asyncio.Future[Slot], Entry] = {}
        """Jobs that wait for a place at their endpoint."""
        if isinstance(transport, SlotProvider):
            self.saturated = transport.saturated
            self._parked = PlaceWaiters(transport, on_place)
            self.waiting = self._parked.entries
        self.computations = Computations()

    def admits(self, entry: Entry) -> bool:
        """Return whether the call of a job may begin now, after seeing to the job if not."""
        if entry[3] is not None:
            return not self._refuses(entry)
        timed = entry[1].deadline is not None or entry[2].policy.max_elapsed is not None
        if timed and self._is_late(entry):
            return False
        return not self.saturated or not self._has_to_wait(entry)

    def _has_to_wait(self, entry: Entry) -> bool:
        """Take a job that has to wait for a place, and return whether it has to."""
        return bool(self.saturated) and self._parked is not None and self._parked.takes(entry)

    def _is_late(self, entry: Entry) -> bool:
        """Settle a job if its turn came too late for a call, and return whether it did."""
        lease_id, job, call, _ = entry
        late = results.too_late(lease_id, job, call, self._clock.now())
        if late is None:
            return False
        self._settler.add(late)
        self.leave_out(entry)
        return True

    def _refuses(self, entry: Entry) -> bool:
        """See to a job that waited too long to be called, and return whether it is one."""
        lease_id, job, call, _ = entry
        refusal = results.refusal(lease_id, job, call, self._clock.now())
        if refusal is None:
            return False
        self._settler.add(refusal)
        self.leave_out(entry)
        return True

    def leave_out(self, entry: Entry) -> None:
        """Release a job before its call begins."""
        _, job, _, place = entry
        if place is not None:
            place.release()
        self._on_finished(job.lane, CallEnd.NOT_CALLED)

    def hand_back(self, entries: Iterable[Entry]) -> None:
        """Put jobs back into the queue before their calls begin."""
        for entry in entries:
            self._settler.add(results.handed_back(entry[0], entry[1], self._clock.now()))
            self.leave_out(entry)

    def drop(self, leases: set[UUID]) -> None:
        """Forget the waiting jobs of leases that are no longer this worker's."""
        for entry in self._parked.remove(leases) if self._parked is not None else ():
            self.leave_out(entry)

    def hand_back_waiting(self) -> None:
        """Put all that wait for a place back into the queue."""
        if self._parked is not None:
            self.hand_back(self._parked.remove())

    async def compute(self, entry: Entry) -> bool:
        """Wait until the request of a call that takes long may be made; `render` must follow.

        Meanwhile others may have taken the places at the endpoint. Then the job waits for one
        outside of any call, and the result is False. The call begins again with its place.
        """
        _, job, _, place = entry
        try:
            await self.computations.begin(job.tenant_id, job.lane)
        except asyncio.CancelledError:
            self.hand_back([entry])
            raise
        if place is None and self._has_to_wait(entry):
            self.computations.end()
            return False
        return True

    def render(self, entry: Entry, *, computes: bool) -> Rendered:
        """Make the request of a call; see `PreparedCall.render`."""
        _, job, call, place = entry
        try:
            return call.render(job, self._clock.now())
        except BaseException:
            if place is not None:
                place.release()
            raise
        finally:
            if computes:
                self.computations.end()

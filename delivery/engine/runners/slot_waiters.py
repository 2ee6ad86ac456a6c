"""Jobs that wait for a slot at their endpoint before their call begins."""

from __future__ import annotations

from typing import TYPE_CHECKING

from delivery.http.transport import SlotProvider

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Collection

    from delivery.engine.runners.attempt import Attempt
    from delivery.http.pool import Slot
    from delivery.http.transport import Transport

__all__ = ["SlotWaiters"]


class SlotWaiters:
    """Jobs that wait for a slot.

    Such a job is not a call in flight: it takes no place of this process, its timeout has not
    started, and it can go back to the queue at any moment.

    Args:
        transport: Gives the slots. With a transport that has none, no job waits here.
    """

    def __init__(self, transport: Transport) -> None:
        self._provider: SlotProvider | None = None
        self.saturated: Collection[object] = ()
        """Endpoints at which a call may have to wait. The transport changes it in place."""
        if isinstance(transport, SlotProvider):
            self._provider, self.saturated = transport, transport.saturated
        self._on_slot: Callable[[Attempt], None] | None = None
        self.attempts: dict[asyncio.Future[Slot], Attempt] = {}
        """Waiting jobs by their future slots."""

    def connect(self, on_slot: Callable[[Attempt], None]) -> None:
        """Set the function that receives each job that got its slot."""
        self._on_slot = on_slot

    def take(self, attempt: Attempt) -> bool:
        """Take a job if it has to wait for a slot; return False if it need not wait."""
        job, endpoint = attempt.job, attempt.call.endpoint
        if (
            self._provider is None
            or not self.saturated
            or self._provider.has_slot(endpoint, job.tenant_id, job.lane)
        ):
            return False
        slot = self._provider.request_slot(endpoint, job.tenant_id, job.lane)
        self.attempts[slot] = attempt
        slot.add_done_callback(self._done)
        return True

    def remove(self, matches: Callable[[Attempt], bool]) -> list[Attempt]:
        """Remove and return the waiting jobs that match."""
        removed = [(slot, each) for slot, each in self.attempts.items() if matches(each)]
        for slot, _ in removed:
            del self.attempts[slot]
            slot.cancel()
        return [attempt for _, attempt in removed]

    def _done(self, slot: asyncio.Future[Slot]) -> None:
        attempt = self.attempts.pop(slot, None)
        if attempt is not None and self._on_slot is not None:
            attempt.slot = slot.result()
            self._on_slot(attempt)
        elif not slot.cancelled():
            # The slot came in the moment in which the job was removed.
            slot.result().release()

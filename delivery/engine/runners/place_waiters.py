"""Jobs that wait for a place at their endpoint before their call begins."""

from __future__ import annotations

from typing import TYPE_CHECKING

from delivery.http.transport import Places

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Collection

    from delivery.engine.runners.attempt import Attempt
    from delivery.http.pool import Place
    from delivery.http.transport import Transport

__all__ = ["PlaceWaiters"]


class PlaceWaiters:
    """Jobs that wait for a place.

    Such a job is not a call in flight: it occupies no place of this process, its timeout has not
    started, and it can go back to the queue at any moment.

    Args:
        transport: Gives the places. With a transport that has none, no job waits here.
    """

    def __init__(self, transport: Transport) -> None:
        self._places = transport if isinstance(transport, Places) else None
        self._on_place: Callable[[Attempt], None] | None = None
        self.crowded: Collection[object] = self._places.crowded if self._places is not None else ()
        """Endpoints at which a call may have to wait. The transport changes it in place."""
        self.attempts: dict[asyncio.Future[Place], Attempt] = {}
        """Waiting jobs by their future places."""

    def connect(self, on_place: Callable[[Attempt], None]) -> None:
        """Set the function that receives each job that got its place."""
        self._on_place = on_place

    def take(self, attempt: Attempt) -> bool:
        """Take a job if it has to wait for a place; return False if it need not wait."""
        job, endpoint = attempt.job, attempt.call.endpoint
        if (
            self._places is None
            or not self.crowded
            or self._places.has_place(endpoint, job.tenant_id, job.lane)
        ):
            return False
        place = self._places.ask_for_place(endpoint, job.tenant_id, job.lane)
        self.attempts[place] = attempt
        place.add_done_callback(self._done)
        return True

    def remove(self, matches: Callable[[Attempt], bool]) -> list[Attempt]:
        """Remove and return the waiting jobs that match."""
        removed = [(place, each) for place, each in self.attempts.items() if matches(each)]
        for place, _ in removed:
            del self.attempts[place]
            place.cancel()
        return [attempt for _, attempt in removed]

    def _done(self, place: asyncio.Future[Place]) -> None:
        attempt = self.attempts.pop(place, None)
        if attempt is not None and self._on_place is not None:
            attempt.place = place.result()
            self._on_place(attempt)
        elif not place.cancelled():
            # The place came in the moment in which the job was removed.
            place.result().release()

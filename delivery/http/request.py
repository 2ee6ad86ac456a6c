"""One request, ready to be written."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from uuid import UUID

    from delivery.http.pool import Slot
    from delivery.message.request.url import Endpoint

__all__ = ["Request"]


@dataclass(slots=True, eq=False)
class Request:
    """A request and its endpoint; not frozen because one is made for every delivery.

    Each is equal to itself only: transports keep those that are under way in sets.
    """

    endpoint: Endpoint
    method: str
    head: bytes
    """Request line and headers, with the empty line."""
    body: bytes
    timeout: float
    """Seconds for the whole exchange, from name resolution to the last byte."""
    connect_timeout: float
    """Seconds of these for name resolution, TCP and TLS."""
    tenant: str | None = None
    """The tenant and lane that the call is made for: those take turns where calls wait."""
    lane: UUID | None = None
    slot: Slot | None = None
    """The place that was waited for before the call began; None: the transport finds one."""

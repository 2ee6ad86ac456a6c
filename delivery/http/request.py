"""Request in the form that transports send."""

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
    """Request and its endpoint. Not frozen, because that costs time for every delivery.

    Compared by identity, because transports store requests in sets.
    """

    endpoint: Endpoint
    method: str
    head: bytes
    """Request line and headers, including the empty line."""
    body: bytes
    timeout: float
    """Maximum seconds of the exchange, from name resolution to the last byte."""
    connect_timeout: float
    """Maximum seconds of name resolution, TCP and TLS, within `timeout`."""
    tenant: str | None = None
    """Tenant of the call. Waiting calls are served round-robin by tenant and lane."""
    lane: UUID | None = None
    slot: Slot | None = None
    """Slot granted before the call began. None to take one in the transport."""

"""Interface between the engine and HTTP transports."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from asyncio import Future
    from collections.abc import Collection
    from uuid import UUID

    from delivery.http.pool import Slot
    from delivery.http.request import Request
    from delivery.message.request.url import Endpoint
    from delivery.models import Exchange

__all__ = ["SlotProvider", "Transport"]


class Transport(Protocol):
    """Client that makes exchanges: `NativeTransport`, or httpx through `HttpxTransport`."""

    async def send(self, request: Request) -> Exchange:
        """Make one exchange within its timeout. Failures are recorded, not raised."""

    async def aclose(self) -> None:
        """Close every connection."""


@runtime_checkable
class SlotProvider(Protocol):
    """Transport that limits the calls to one endpoint, and grants a slot before a call begins.

    With other transports, a call may have to wait in `send`.
    """

    saturated: Collection[object]
    """Endpoints at which a call may have to wait. If empty, `has_slot` is True for all calls."""

    def has_slot(self, endpoint: Endpoint, tenant: str, lane: UUID) -> bool:
        """Return whether a call would begin immediately."""

    def request_slot(self, endpoint: Endpoint, tenant: str, lane: UUID) -> Future[Slot]:
        """Request a slot, in turn with other lanes. Cancel the future to withdraw the request."""

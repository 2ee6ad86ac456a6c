"""What the engine needs of HTTP: one exchange, in bytes."""

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
    """Makes exchanges: `NativeTransport`, or httpx through `HttpxTransport`."""

    async def send(self, request: Request) -> Exchange:
        """Make one exchange within its time. Failures are data: only cancellation is raised."""

    async def aclose(self) -> None:
        """Close every connection."""


@runtime_checkable
class SlotProvider(Protocol):
    """A transport that bounds the calls to one endpoint, and knows before a call whether it waits.

    Without it a call that has to wait does so in `send`.
    """

    saturated: Collection[object]
    """Empty while no call has to wait: then nothing else need be asked."""

    def has_slot(self, endpoint: Endpoint, tenant: str, lane: UUID) -> bool:
        """Return whether a call that is sent now does not have to wait for others."""

    def request_slot(self, endpoint: Endpoint, tenant: str, lane: UUID) -> Future[Slot]:
        """Wait in turns with the other lanes; cancelling the future gives the turn up."""

"""What the engine needs of HTTP: one exchange, in bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from delivery.http.request import Request
    from delivery.models import Exchange

__all__ = ["Transport"]


class Transport(Protocol):
    """Makes exchanges: `NativeTransport`, or httpx through `HttpxTransport`."""

    async def send(self, request: Request) -> Exchange:
        """Make one exchange within its time. Failures are data: only cancellation is raised."""

    async def aclose(self) -> None:
        """Close every connection."""

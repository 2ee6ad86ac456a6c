"""Choice of the transport: native, httpx, or an object of the caller."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, TypeAlias

from delivery.errors import InvalidSetting
from delivery.http.guard import Guard
from delivery.http.native import NativeTransport

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import httpx

    from delivery.http.transport import Transport
    from delivery.settings import HttpSettings

__all__ = ["AnyTransport", "guard_for", "open_transport"]

AnyTransport: TypeAlias = "Transport | httpx.AsyncBaseTransport"
"""Transport of a caller: an implementation of our protocol, or any transport of httpx."""


def guard_for(settings: HttpSettings) -> Guard:
    """Create the guard for these settings.

    Raises:
        InvalidSetting: if an allowed network or host is invalid.
    """
    try:
        return Guard(
            settings.allowed_networks,
            settings.allowed_hosts,
            settings.allowed_ports,
            require_https=settings.require_https,
        )
    except ValueError as error:
        message = f"http.allowed_hosts or http.allowed_networks is invalid: {error}"
        raise InvalidSetting(message) from None


@asynccontextmanager
async def open_transport(
    settings: HttpSettings, given: AnyTransport | None, reserved_files: int = 0
) -> AsyncIterator[Transport]:
    """Open the transport for these settings, and close it unless it is the caller's.

    Args:
        settings: Settings section `http`.
        given: Transport of the caller, if any.
        reserved_files: Number of files that the rest of the process will open.
    """
    guard = guard_for(settings)
    caps = (settings.max_response_head, settings.max_response_body)
    opened: Transport
    if given is not None or settings.transport == "httpx":
        # The import of httpx is slow, and the native transport does not need it.
        import httpx  # noqa: PLC0415

        from delivery.http.adapters.httpx_transports import (  # noqa: PLC0415
            HttpxTransport,
            TlsAwareHttpxTransport,
        )
    if given is not None:
        if isinstance(given, httpx.AsyncBaseTransport):
            yield HttpxTransport(given, guard, *caps)
        else:
            yield given
        return
    if settings.transport == "httpx":
        limits = httpx.Limits(
            max_connections=None,
            max_keepalive_connections=settings.connections_per_origin,
            keepalive_expiry=settings.keepalive,
        )
        opened = HttpxTransport(TlsAwareHttpxTransport(limits, guard), guard, *caps)
    else:
        opened = NativeTransport(
            guard, settings.keepalive, settings.connections_per_origin, *caps, reserved_files
        )
    try:
        yield opened
    finally:
        await opened.aclose()

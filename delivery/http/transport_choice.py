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

__all__ = ["AnyTransport", "guard_for", "open_transport", "transport_for"]

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


def transport_for(
    settings: HttpSettings, given: AnyTransport | None, reserved_files: int = 0
) -> Transport:
    """Return the transport for these settings. The caller closes it unless it was given.

    Args:
        settings: Settings section `http`.
        given: Transport of the caller, if any.
        reserved_files: Number of files that the rest of the process will open.
    """
    guard = guard_for(settings)
    caps = (settings.max_response_head, settings.max_response_body)
    if given is not None or settings.transport == "httpx":
        # The import of httpx is slow, and the native transport does not need it.
        import httpx  # noqa: PLC0415

        from delivery.http.adapters.httpx_transports import (  # noqa: PLC0415
            HttpxTransport,
            TlsAwareHttpxTransport,
        )
    if given is not None:
        if isinstance(given, httpx.AsyncBaseTransport):
            return HttpxTransport(given, guard, *caps)
        return given
    if settings.transport == "httpx":
        limits = httpx.Limits(
            max_connections=None,
            max_keepalive_connections=settings.connections_per_origin,
            keepalive_expiry=settings.keepalive,
        )
        return HttpxTransport(TlsAwareHttpxTransport(limits, guard), guard, *caps)
    return NativeTransport(
        guard, settings.keepalive, settings.connections_per_origin, *caps, reserved_files
    )


@asynccontextmanager
async def open_transport(
    settings: HttpSettings, given: AnyTransport | None
) -> AsyncIterator[Transport]:
    """Open the transport for these settings; close it at the end unless it was given."""
    opened = transport_for(settings, given)
    try:
        yield opened
    finally:
        if given is None:
            await opened.aclose()

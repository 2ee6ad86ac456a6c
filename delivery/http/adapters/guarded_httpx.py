"""Transport of httpx that connects only to addresses that the guard has checked."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import httpcore
import httpx

from delivery.http.adapters.httpcore_network import open_stream

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterable

    from httpcore import SOCKET_OPTION

    from delivery.http.guard import Guard

__all__ = ["GuardedHttpxTransport"]


class GuardedHttpxTransport(httpx.AsyncHTTPTransport):
    """Transport of httpx with the guard, and without proxies."""

    def __init__(self, guard: Guard, context: ssl.SSLContext, limits: httpx.Limits) -> None:
        super().__init__(verify=context, limits=limits, trust_env=False)
        # httpx has no argument for the network backend, but the pool of httpcore has one.
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=context,
            max_connections=limits.max_connections,
            max_keepalive_connections=limits.max_keepalive_connections,
            keepalive_expiry=limits.keepalive_expiry,
            network_backend=_GuardedBackend(guard),
        )


class _GuardedBackend(httpcore.AsyncNetworkBackend):
    """Network backend that connects to an address checked by the guard."""

    def __init__(self, guard: Guard) -> None:
        self._guard = guard

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Connect to a host; see `httpcore.AsyncNetworkBackend`.

        Raises:
            AddressBlocked: as `Guard.resolve_name`.
            socket.gaierror, UnicodeError: as `Guard.resolve_name`.
            httpcore.ConnectError, httpcore.ConnectTimeout: if no address accepts the connection.
        """
        failure: Exception = httpcore.ConnectError("the name has no addresses")
        for address in await self._guard.resolve_name(host):
            try:
                return await open_stream(address, port, timeout, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
        raise failure

    async def sleep(self, seconds: float) -> None:
        """Sleep; see `httpcore.AsyncNetworkBackend`."""
        await asyncio.sleep(seconds)

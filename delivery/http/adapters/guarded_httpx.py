"""httpx's own transport, made to connect to nothing but addresses that the guard has judged."""

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
    """Like its parent, without proxies, and with the guard between it and the network."""

    def __init__(self, guard: Guard, context: ssl.SSLContext, limits: httpx.Limits) -> None:
        super().__init__(verify=context, limits=limits, trust_env=False)
        # httpx has no argument for what connects; the pool, which is httpcore's, has one.
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=context,
            max_connections=limits.max_connections,
            max_keepalive_connections=limits.max_keepalive_connections,
            keepalive_expiry=limits.keepalive_expiry,
            network_backend=_Pinned(guard),
        )


class _Pinned(httpcore.AsyncNetworkBackend):
    """Resolves by the guard, and connects to one of the addresses that it gives."""

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
        """A connection; see the parent.

        Raises:
            AddressBlocked: as `Guard.resolve_name`.
            socket.gaierror, UnicodeError: as `Guard.resolve_name`.
            httpcore.ConnectError, httpcore.ConnectTimeout: if none of the addresses answers.
        """
        failure: Exception = httpcore.ConnectError("the name has no addresses")
        for address in await self._guard.resolve_name(host):
            try:
                return await open_stream(address, port, timeout, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
        raise failure

    async def sleep(self, seconds: float) -> None:
        """Sleep."""
        await asyncio.sleep(seconds)

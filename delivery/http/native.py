"""The engine's own transport: kept-alive connections per endpoint, bytes in and bytes out.

A connection that is free is used again, the one used last first; otherwise the endpoint is
resolved, judged by the guard and connected to, at the very address that was judged.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import time
from collections import deque
from typing import TYPE_CHECKING

from delivery.errors import InvalidReaction
from delivery.http.connection import Connection
from delivery.http.guard import AddressBlocked, Guard
from delivery.http.tls import context_for, describe_tls_error
from delivery.models import Exchange, FailureKind

if TYPE_CHECKING:
    from delivery.http.request import Request
    from delivery.message.url import Endpoint

__all__ = ["NativeTransport"]


class _Pool:
    """The connections of one endpoint."""

    __slots__ = ("idle", "open", "waiters")

    def __init__(self) -> None:
        self.idle: list[Connection] = []
        self.open = 0
        """Connections in use, free, or being made."""
        self.waiters: deque[asyncio.Future[None]] = deque()


class NativeTransport:
    """Makes exchanges over HTTP/1.1 connections of its own.

    Args:
        guard: Says which addresses may be called.
        keepalive: Seconds that a free connection is kept.
        connections_per_origin: Connections to one endpoint at once; more exchanges wait.
        max_response_head: Bytes of status line and headers above which a response is a failure.
        max_response_body: Bytes of a body that are read.
    """

    def __init__(
        self,
        guard: Guard,
        keepalive: float,
        connections_per_origin: int,
        max_response_head: int,
        max_response_body: int,
    ) -> None:
        self._guard = guard
        self._keepalive = keepalive
        self._per_origin = connections_per_origin
        self._max_head = max_response_head
        self._max_body = max_response_body
        self._pools: dict[Endpoint, _Pool] = {}
        self._pool_of: dict[Connection, _Pool] = {}
        self._sweeper: asyncio.TimerHandle | None = None
        self._closed = False

    async def send(self, request: Request) -> Exchange:
        """Make one exchange; see `Transport.send`.

        A connection that was used before and closes before the first byte of a response is not held
        against the endpoint: the server closed it for being idle, while the request was on its way.
        The request is then made once more on a new connection, within the same time. Go's net/http
        does the same for requests that may be repeated; ours carry a `webhook-id` to that end.
        """
        began = time.perf_counter()
        pool = self._pools.get(request.endpoint)
        if pool is None:
            pool = self._pools[request.endpoint] = _Pool()
        exchange = Exchange()
        connection = self._free_connection(pool)
        if connection is not None:
            exchange.reused = True
            await self._exchange_on(connection, pool, request, exchange, request.timeout)
            if exchange.failure_kind is not FailureKind.TRANSPORT or (
                exchange.first_byte_ms is not None
            ):
                exchange.total_ms = (time.perf_counter() - began) * 1000
                return exchange
            exchange = Exchange()
        connection = await self._connect(pool, request, exchange, began)
        if connection is not None:
            left = request.timeout - (time.perf_counter() - began)
            await self._exchange_on(connection, pool, request, exchange, max(left, 0.0))
        exchange.total_ms = (time.perf_counter() - began) * 1000
        return exchange

    async def aclose(self) -> None:
        """Close every connection."""
        self._closed = True
        if self._sweeper is not None:
            self._sweeper.cancel()
        for connection in list(self._pool_of):
            connection.abort()
        # Lets the event loop run the callbacks that release the sockets.
        await asyncio.sleep(0)

    async def _exchange_on(
        self,
        connection: Connection,
        pool: _Pool,
        request: Request,
        exchange: Exchange,
        seconds: float,
    ) -> None:
        try:
            await connection.start(request, exchange, seconds)
        except asyncio.CancelledError:
            connection.abort()
            raise
        if connection.usable and not self._closed:
            loop = asyncio.get_running_loop()
            connection.idle_since = loop.time()
            pool.idle.append(connection)
            if self._sweeper is None:
                self._sweeper = loop.call_later(self._keepalive, self._sweep)
            _wake_one(pool)

    def _free_connection(self, pool: _Pool) -> Connection | None:
        while pool.idle:
            connection = pool.idle.pop()
            if not connection.usable:
                continue
            if asyncio.get_running_loop().time() - connection.idle_since > self._keepalive:
                connection.abort()
                continue
            return connection
        return None

    def _sweep(self) -> None:
        """Close connections that were free for too long, and forget endpoints without any."""
        loop = asyncio.get_running_loop()
        limit = loop.time() - self._keepalive
        for endpoint, pool in list(self._pools.items()):
            for connection in pool.idle:
                if connection.idle_since <= limit:
                    connection.abort()
            pool.idle = [connection for connection in pool.idle if connection.usable]
            if pool.open == 0 and not pool.waiters:
                del self._pools[endpoint]
        idle = any(pool.idle for pool in self._pools.values())
        self._sweeper = loop.call_later(self._keepalive, self._sweep) if idle else None

    async def _connect(
        self, pool: _Pool, request: Request, exchange: Exchange, began: float
    ) -> Connection | None:
        """A connection for the request, new or just freed; None: the exchange says why not."""
        left = request.timeout - (time.perf_counter() - began)
        try:
            async with asyncio.timeout(left):
                while pool.open >= self._per_origin:
                    connection = await self._freed(pool)
                    if connection is not None:
                        exchange.reused = True
                        return connection
        except TimeoutError:
            exchange.failure_kind = FailureKind.TIMEOUT
            exchange.error = (
                f"the time was over while waiting for one of {self._per_origin} connections"
                " (http.connections_per_origin)"
            )
            return None
        pool.open += 1
        connection = None
        try:
            connection = await self._connect_in_time(request, exchange, began)
        finally:
            if connection is not None and connection.usable:
                self._pool_of[connection] = pool
            else:
                # Not made, or closed by the server already.
                pool.open -= 1
                _wake_one(pool)
        return connection

    async def _freed(self, pool: _Pool) -> Connection | None:
        """Wait for a change in the pool; a free connection, if that is what it was."""
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        pool.waiters.append(waiter)
        try:
            await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled():
                _wake_one(pool)
            raise
        finally:
            if waiter in pool.waiters:
                pool.waiters.remove(waiter)
        return self._free_connection(pool)

    async def _connect_in_time(
        self, request: Request, exchange: Exchange, began: float
    ) -> Connection | None:
        left = request.timeout - (time.perf_counter() - began)
        try:
            async with asyncio.timeout(min(left, request.connect_timeout)):
                return await self._connect_now(request.endpoint, exchange)
        except TimeoutError:
            exchange.failure_kind = FailureKind.TIMEOUT
            if exchange.dns_ms is None:
                what = f"the name {request.endpoint.host} was being resolved"
            elif exchange.connect_ms is None:
                what = "connecting"
            else:
                what = "the TLS handshake was under way"
            exchange.error = f"the time was over while {what}"
        except AddressBlocked as blocked:
            exchange.failure_kind, exchange.error = FailureKind.BLOCKED, str(blocked)
        except InvalidReaction as error:
            exchange.failure_kind, exchange.error = FailureKind.MISCONFIGURED, str(error)
        except socket.gaierror as error:
            exchange.failure_kind = FailureKind.DNS
            exchange.error = f"{request.endpoint.host} cannot be resolved: {error.strerror}"
        except UnicodeError as error:
            exchange.failure_kind = FailureKind.DNS
            exchange.error = f"{request.endpoint.host} cannot be resolved: {error}"
        except ssl.SSLError as error:
            exchange.failure_kind, exchange.error = FailureKind.TLS, describe_tls_error(error)
        except OSError as error:
            during_tls = exchange.connect_ms is not None
            exchange.failure_kind = FailureKind.TLS if during_tls else FailureKind.TRANSPORT
            doing = "the TLS handshake failed" if during_tls else "cannot connect"
            exchange.error = f"{doing}: {error.strerror or error}"
        return None

    async def _connect_now(self, endpoint: Endpoint, exchange: Exchange) -> Connection:
        loop = asyncio.get_running_loop()
        began = time.perf_counter()
        addresses = await self._guard.resolve(endpoint)
        resolved = time.perf_counter()
        exchange.dns_ms = (resolved - began) * 1000
        opened = await _open_socket(loop, addresses, endpoint.port)
        connected = time.perf_counter()
        exchange.connect_ms = (connected - resolved) * 1000
        secure = endpoint.scheme == "https"
        try:
            context = context_for(endpoint.tls) if secure else None
            _, connection = await loop.create_connection(
                lambda: Connection(self._max_head, self._max_body, self._connection_closed),
                sock=opened,
                ssl=context,
                server_hostname=endpoint.host if secure else None,
            )
        except BaseException:
            opened.close()
            raise
        if secure:
            exchange.tls_ms = (time.perf_counter() - connected) * 1000
        return connection

    def _connection_closed(self, connection: Connection) -> None:
        pool = self._pool_of.pop(connection, None)
        if pool is not None:
            pool.open -= 1
            _wake_one(pool)


async def _open_socket(
    loop: asyncio.AbstractEventLoop, addresses: list[str], port: int
) -> socket.socket:
    """Connect to the first of the addresses that answers."""
    failure: OSError | None = None
    for address in addresses:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        opened = socket.socket(family, socket.SOCK_STREAM)
        try:
            opened.setblocking(False)
            opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            await loop.sock_connect(opened, (address, port))
        except OSError as error:
            opened.close()
            failure = error
        except BaseException:
            opened.close()
            raise
        else:
            return opened
    raise failure or OSError("the name has no addresses")


def _wake_one(pool: _Pool) -> None:
    while pool.waiters:
        waiter = pool.waiters.popleft()
        if not waiter.done():
            waiter.set_result(None)
            return

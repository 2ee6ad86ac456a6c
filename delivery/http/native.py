"""Native transport: HTTP/1.1 over a pool of connections for each endpoint.

A call reuses the idle connection that was used last. Without an idle connection, it resolves the
endpoint, checks the addresses with the guard, and connects to a checked address.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from typing import TYPE_CHECKING

from delivery.http.connecting import Connector
from delivery.http.connection import HttpConnection
from delivery.http.open_files import current_shares
from delivery.http.pool import EndpointPool, Slot
from delivery.models import Exchange, FailureKind

if TYPE_CHECKING:
    from uuid import UUID

    from delivery.http.guard import Guard
    from delivery.http.pool import Caller
    from delivery.http.request import Request
    from delivery.message.request.url import Endpoint

__all__ = ["NativeTransport"]


class NativeTransport:
    """Transport over HTTP/1.1 connections.

    Args:
        guard: Decides which addresses may be called.
        keepalive: Seconds after which an idle connection is closed. 0 disables reuse.
        connections_per_origin: Maximum number of connections to one endpoint. Further exchanges
            wait.
        max_response_head: Maximum bytes of status line and headers. A longer head is a failure.
        max_response_body: Maximum bytes that are read of a body.
        reserved_files: Number of files that the rest of the process will open.
    """

    def __init__(
        self,
        guard: Guard,
        keepalive: float,
        connections_per_origin: int,
        max_response_head: int,
        max_response_body: int,
        reserved_files: int = 0,
    ) -> None:
        self._connector = Connector(
            guard, lambda: HttpConnection(max_response_head, max_response_body, self._remove)
        )
        self._keepalive = keepalive
        self._per_origin = connections_per_origin
        self._reserved_files = reserved_files
        self._max_sockets = 0
        """Maximum number of connections, including idle ones. 0 until the first is opened."""
        self._connecting = 0
        self._pools: dict[tuple[object, ...], EndpointPool] = {}
        """Pools by the key of their endpoint."""
        self.saturated: set[EndpointPool] = set()
        """Pools in which a call may have to wait; see `SlotProvider`."""
        self._open: set[HttpConnection] = set()
        self._idle: OrderedDict[HttpConnection, tuple[Endpoint, EndpointPool]] = OrderedDict()
        """All idle connections, the one idle for longest first."""
        self._sweeper: asyncio.TimerHandle | None = None
        self._closed = False

    async def send(self, request: Request) -> Exchange:
        """Make one exchange; see `Transport.send`.

        If a reused connection closes before the first byte of a response, the server probably
        closed it for being idle while the request was on its way. The request is then repeated once
        on a new connection, within the same timeout. Go's net/http does the same for requests that
        may be repeated. A webhook may be repeated because its `webhook-id` identifies it.
        """
        endpoint = request.endpoint
        exchange = Exchange()
        waited = 0.0
        caller: Caller = request
        if request.slot is not None:
            caller = request.slot
            pool = request.slot.pool
        else:
            pool = self._pools.get(endpoint.key) or self._pool_of(endpoint)
            if not pool.try_enter(request):
                requested = time.perf_counter()
                await pool.wait(request)
                waited = time.perf_counter() - requested
        began = time.perf_counter()
        connection: HttpConnection | None = None
        try:
            connection = self._take_idle(pool)
            if connection is not None:
                exchange.reused = True
                left = request.timeout - (time.perf_counter() - began)
                await connection.start(request, exchange, left)
            if connection is None or _was_closed_idle(exchange):
                before, exchange = exchange, Exchange()
                connection = await self._send_on_new_connection(request, exchange, began)
                _record_sending(exchange, before)
        except BaseException:
            if connection is not None:
                connection.abort()
            raise
        finally:
            if connection is not None and connection.usable:
                self._store_idle(endpoint, pool, connection)
            pool.leave(caller)
            if not pool.idle:
                self._drop_if_unused(endpoint, pool)
        exchange.total_ms = (time.perf_counter() - began) * 1000
        if waited:
            exchange.waited_ms = waited * 1000
        return exchange

    def has_slot(self, endpoint: Endpoint, tenant: str, lane: UUID) -> bool:
        """See `SlotProvider.has_slot`."""
        pool = self._pools.get(endpoint.key)
        return pool is None or pool.admits(tenant, lane)

    def request_slot(self, endpoint: Endpoint, tenant: str, lane: UUID) -> asyncio.Future[Slot]:
        """See `SlotProvider.request_slot`."""
        pool = self._pool_of(endpoint)
        slot = Slot(pool, tenant, lane, lambda slot: self._leave(endpoint, pool, slot))
        granted: asyncio.Future[Slot] = asyncio.get_running_loop().create_future()

        def pass_on(request: asyncio.Future[None]) -> None:
            if request.cancelled():
                return
            if granted.done():
                slot.release()
            else:
                granted.set_result(slot)

        request = pool.request(slot)
        request.add_done_callback(pass_on)
        granted.add_done_callback(lambda _: request.cancel())
        return granted

    async def aclose(self) -> None:
        """Close every connection. Current and later exchanges fail."""
        self._closed = True
        if self._sweeper is not None:
            self._sweeper.cancel()
            self._sweeper = None
        for connection in list(self._open):
            connection.abort()
        # Let the event loop run the callbacks that release the sockets.
        await asyncio.sleep(0)

    def _take_idle(self, pool: EndpointPool) -> HttpConnection | None:
        """Return the usable connection that was used last, if any."""
        while pool.idle:
            connection = pool.idle.pop()
            del self._idle[connection]
            if connection.has_no_unread_data():
                return connection
            # Unrequested bytes, such as "408 Request Timeout", would be read as the response.
            connection.abort()
        return None

    def _pool_of(self, endpoint: Endpoint) -> EndpointPool:
        pool = self._pools.get(endpoint.key)
        if pool is None:
            pool = self._pools[endpoint.key] = EndpointPool(self._per_origin, self.saturated)
        return pool

    async def _send_on_new_connection(
        self, request: Request, exchange: Exchange, began: float
    ) -> HttpConnection | None:
        """Make the exchange on a new connection. Return None if there is none."""
        connection = None
        if not self._closed:
            await self._make_room()
            self._connecting += 1
            try:
                connection = await self._connector.connect(
                    request, exchange, request.timeout - (time.perf_counter() - began)
                )
            finally:
                self._connecting -= 1
            if exchange.failure_kind is FailureKind.LOCAL:
                self._close_all_idle()
        if self._closed:
            if connection is not None:
                connection.abort()
            exchange.failure_kind = FailureKind.TRANSPORT
            exchange.error = "the transport was closed"
            return None
        if connection is None:
            return None
        if connection.usable:
            self._open.add(connection)
        try:
            await connection.start(
                request, exchange, request.timeout - (time.perf_counter() - began)
            )
        except BaseException:
            connection.abort()
            raise
        return connection

    def _store_idle(
        self, endpoint: Endpoint, pool: EndpointPool, connection: HttpConnection
    ) -> None:
        if self._closed or not self._keepalive:
            connection.abort()
            return
        loop = asyncio.get_running_loop()
        connection.idle_since = loop.time()
        pool.idle.append(connection)
        self._idle[connection] = (endpoint, pool)
        if self._sweeper is None:
            self._sweeper = loop.call_later(self._keepalive, self._sweep)

    def _sweep(self) -> None:
        """Close the connections that have been idle for too long."""
        loop = asyncio.get_running_loop()
        self._sweeper = None
        while self._idle:
            connection = next(iter(self._idle))
            expires_at = connection.idle_since + self._keepalive
            if expires_at > loop.time():
                self._sweeper = loop.call_at(expires_at, self._sweep)
                return
            self._close_idle(connection)

    async def _make_room(self) -> None:
        """Close idle connections while the process has too many files open."""
        if not self._max_sockets:
            # Not earlier: a program may raise its limit of open files before it begins to deliver.
            self._max_sockets = current_shares(self._reserved_files).sockets
        has_closed = False
        while self._idle and len(self._open) + self._connecting >= self._max_sockets:
            self._close_idle(next(iter(self._idle)))
            has_closed = True
        if has_closed:
            # Let the event loop release the socket.
            await asyncio.sleep(0)

    def _close_all_idle(self) -> None:
        while self._idle:
            self._close_idle(next(iter(self._idle)))

    def _close_idle(self, connection: HttpConnection) -> None:
        self._remove(connection)
        connection.abort()

    def _remove(self, connection: HttpConnection) -> None:
        """Remove a closed connection. If it was in use, `send` releases its slot."""
        self._open.discard(connection)
        endpoint_and_pool = self._idle.pop(connection, None)
        if endpoint_and_pool is not None:
            endpoint, pool = endpoint_and_pool
            pool.idle.remove(connection)
            self._drop_if_unused(endpoint, pool)

    def _leave(self, endpoint: Endpoint, pool: EndpointPool, caller: Caller) -> None:
        pool.leave(caller)
        self._drop_if_unused(endpoint, pool)

    def _drop_if_unused(self, endpoint: Endpoint, pool: EndpointPool) -> None:
        if pool.is_unused:
            self._pools.pop(endpoint.key, None)


def _record_sending(exchange: Exchange, before: Exchange) -> None:
    """Record that a request was sent, although a local shortage prevented its repetition."""
    if exchange.failure_kind is FailureKind.LOCAL and before.reused:
        exchange.reused = True
        exchange.remote_address = before.remote_address
        # The connection may close while the request is being written.
        exchange.send_ms = before.send_ms or 0.0


def _was_closed_idle(exchange: Exchange) -> bool:
    return exchange.failure_kind is FailureKind.TRANSPORT and exchange.first_byte_ms is None

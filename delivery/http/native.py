"""The engine's own transport: kept-alive connections per endpoint, bytes in and bytes out.

A connection that is free is used again, the one used last first; otherwise the endpoint is
resolved, judged by the guard and connected to, at the very address that was judged.
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
    """Makes exchanges over HTTP/1.1 connections of its own.

    Args:
        guard: Says which addresses may be called.
        keepalive: Seconds that a free connection is kept; 0: none is.
        connections_per_origin: Connections to one endpoint at once; more exchanges wait.
        max_response_head: Bytes of status line and headers above which a response is a failure.
        max_response_body: Bytes of a body that are read.
        reserved_files: Files that the rest of the process will open.
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
            guard, lambda: HttpConnection(max_response_head, max_response_body, self._forget)
        )
        self._keepalive = keepalive
        self._per_origin = connections_per_origin
        self._reserved_files = reserved_files
        self._max_sockets = 0
        """Connections that there may be, free ones included; 0: not known before the first."""
        self._connecting = 0
        self._pools: dict[tuple[object, ...], EndpointPool] = {}
        """By the key of their endpoint."""
        self.saturated: set[EndpointPool] = set()
        """Those in which a call may have to wait; see `SlotProvider`."""
        self._open: set[HttpConnection] = set()
        self._free: OrderedDict[HttpConnection, tuple[Endpoint, EndpointPool]] = OrderedDict()
        """All free connections, the one that is free for longest first."""
        self._sweeper: asyncio.TimerHandle | None = None
        self._closed = False

    async def send(self, request: Request) -> Exchange:
        """Make one exchange; see `Transport.send`.

        A connection that was used before and closes before the first byte of a response is not held
        against the endpoint: the server closed it for being idle, while the request was on its way.
        The request is then made once more on a new connection, within the same time. Go's net/http
        does the same for requests that may be repeated; ours carry a `webhook-id` to that end.
        """
        endpoint = request.endpoint
        exchange = Exchange()
        waited = 0.0
        caller: Caller = request
        if request.slot is not None:
            caller = request.slot
            pool = request.slot.pool
        else:
            pool = self._pools.get(endpoint.key) or self._pool(endpoint)
            if not pool.try_enter(request):
                asked = time.perf_counter()
                await pool.wait(request)
                waited = time.perf_counter() - asked
        began = time.perf_counter()
        connection: HttpConnection | None = None
        try:
            connection = self._take_free(pool)
            if connection is not None:
                exchange.reused = True
                left = request.timeout - (time.perf_counter() - began)
                await connection.start(request, exchange, left)
            if connection is None or _was_closed_idle(exchange):
                before, exchange = exchange, Exchange()
                connection = await self._send_anew(request, exchange, began)
                _keep_sent(exchange, before)
        except BaseException:
            if connection is not None:
                connection.abort()
            raise
        finally:
            if connection is not None and connection.usable:
                self._keep_free(endpoint, pool, connection)
            pool.leave(caller)
            if not pool.free:
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
        pool = self._pool(endpoint)
        slot = Slot(pool, tenant, lane, lambda slot: self._leave(endpoint, pool, slot))
        given: asyncio.Future[Slot] = asyncio.get_running_loop().create_future()

        def pass_on(asked: asyncio.Future[None]) -> None:
            if asked.cancelled():
                return
            if given.done():
                slot.release()
            else:
                given.set_result(slot)

        asked = pool.ask(slot)
        asked.add_done_callback(pass_on)
        given.add_done_callback(lambda _: asked.cancel())
        return given

    async def aclose(self) -> None:
        """Close every connection; exchanges under way fail, and so does whatever is sent later."""
        self._closed = True
        if self._sweeper is not None:
            self._sweeper.cancel()
            self._sweeper = None
        for connection in list(self._open):
            connection.abort()
        # Lets the event loop run the callbacks that release the sockets.
        await asyncio.sleep(0)

    def _take_free(self, pool: EndpointPool) -> HttpConnection | None:
        """Return the connection that was used last; None: there is none that can be used."""
        while pool.free:
            connection = pool.free.pop()
            del self._free[connection]
            if connection.is_quiet():
                return connection
            # Bytes sent unasked, such as "408 Request Timeout", would be taken for the response.
            connection.abort()
        return None

    def _pool(self, endpoint: Endpoint) -> EndpointPool:
        pool = self._pools.get(endpoint.key)
        if pool is None:
            pool = self._pools[endpoint.key] = EndpointPool(self._per_origin, self.saturated)
        return pool

    async def _send_anew(
        self, request: Request, exchange: Exchange, began: float
    ) -> HttpConnection | None:
        """Make the exchange on a new connection; None: there was none."""
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
                self._close_all_free()
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

    def _keep_free(
        self, endpoint: Endpoint, pool: EndpointPool, connection: HttpConnection
    ) -> None:
        if self._closed or not self._keepalive:
            connection.abort()
            return
        loop = asyncio.get_running_loop()
        connection.idle_since = loop.time()
        pool.free.append(connection)
        self._free[connection] = (endpoint, pool)
        if self._sweeper is None:
            self._sweeper = loop.call_later(self._keepalive, self._sweep)

    def _sweep(self) -> None:
        """Close the connections that were free for too long."""
        loop = asyncio.get_running_loop()
        self._sweeper = None
        while self._free:
            connection = next(iter(self._free))
            ends = connection.idle_since + self._keepalive
            if ends > loop.time():
                self._sweeper = loop.call_at(ends, self._sweep)
                return
            self._close_free(connection)

    async def _make_room(self) -> None:
        """Close free connections while there are too many for the files that may be open."""
        if not self._max_sockets:
            # Not before: a program may raise its limit of open files when it begins to deliver.
            self._max_sockets = current_shares(self._reserved_files).sockets
        has_closed = False
        while self._free and len(self._open) + self._connecting >= self._max_sockets:
            self._close_free(next(iter(self._free)))
            has_closed = True
        if has_closed:
            # Lets the event loop release the socket.
            await asyncio.sleep(0)

    def _close_all_free(self) -> None:
        while self._free:
            self._close_free(next(iter(self._free)))

    def _close_free(self, connection: HttpConnection) -> None:
        self._forget(connection)
        connection.abort()

    def _forget(self, connection: HttpConnection) -> None:
        """Let go of a connection that is closed; one in use has its place given back by `send`."""
        self._open.discard(connection)
        endpoint_and_pool = self._free.pop(connection, None)
        if endpoint_and_pool is not None:
            endpoint, pool = endpoint_and_pool
            pool.free.remove(connection)
            self._drop_if_unused(endpoint, pool)

    def _leave(self, endpoint: Endpoint, pool: EndpointPool, caller: Caller) -> None:
        pool.leave(caller)
        self._drop_if_unused(endpoint, pool)

    def _drop_if_unused(self, endpoint: Endpoint, pool: EndpointPool) -> None:
        if pool.is_unused:
            self._pools.pop(endpoint.key, None)


def _keep_sent(exchange: Exchange, before: Exchange) -> None:
    """Record that a request which cannot be repeated now was written once before."""
    if exchange.failure_kind is FailureKind.LOCAL and before.reused:
        exchange.reused = True
        exchange.remote_address = before.remote_address
        # The connection may close while the request is being written.
        exchange.send_ms = before.send_ms or 0.0


def _was_closed_idle(exchange: Exchange) -> bool:
    return exchange.failure_kind is FailureKind.TRANSPORT and exchange.first_byte_ms is None

"""Connection setup: name resolution, guard, TCP and TLS.

A failure is recorded in the `Exchange`, with the step that failed.
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import ssl
import time
from typing import TYPE_CHECKING

from delivery.errors import InvalidReaction
from delivery.http.guard import AddressBlocked
from delivery.http.local_shortage import LocalShortage, is_out_of_ports, is_shortage
from delivery.http.tls.contexts import context_for
from delivery.http.tls.errors import describe_tls_error
from delivery.http.tls.handshake_scheduler import HandshakeScheduler
from delivery.http.tls.sessions import SessionCache
from delivery.http.tls.transport import TlsTransport
from delivery.models import FailureKind

if TYPE_CHECKING:
    from collections.abc import Callable

    from delivery.http.connection import HttpConnection
    from delivery.http.guard import Guard
    from delivery.http.request import Request
    from delivery.message.request.url import Endpoint
    from delivery.models import Exchange

__all__ = ["Connector"]


class Connector:
    """Factory of open connections.

    Args:
        guard: Decides which addresses may be called.
        new_connection: Returns a connection object that is not connected yet.
    """

    def __init__(self, guard: Guard, new_connection: Callable[[], HttpConnection]) -> None:
        self._guard = guard
        self._new_connection = new_connection
        self._scheduler = HandshakeScheduler()
        self._sessions = SessionCache()

    async def connect(
        self, request: Request, exchange: Exchange, seconds: float
    ) -> HttpConnection | None:
        """Connect to the request's endpoint. On failure, fill in the exchange and return None.

        Args:
            request: Request to connect for.
            exchange: Receives the timings, or the failure.
            seconds: Remaining time of the request's timeout. The connect timeout applies as well.
        """
        limit = min(seconds, request.connect_timeout)
        deadline = asyncio.get_running_loop().time() + limit
        try:
            async with asyncio.timeout(limit):
                return await self._connect(request.endpoint, exchange, deadline)
        except TimeoutError:
            exchange.failure_kind = FailureKind.TIMEOUT
            if seconds < request.connect_timeout:
                limit_name = f"the timeout of {request.timeout:g} s"
            else:
                limit_name = f"the connect timeout of {request.connect_timeout:g} s"
            exchange.error = f"{limit_name} expired while {_step(request.endpoint, exchange)}"
        except AddressBlocked as blocked:
            exchange.failure_kind, exchange.error = FailureKind.BLOCKED, str(blocked)
        except InvalidReaction as error:
            exchange.failure_kind, exchange.error = FailureKind.MISCONFIGURED, str(error)
        except (OSError, UnicodeError) as error:
            _explain(error, request.endpoint, exchange)
        return None

    async def _connect(
        self, endpoint: Endpoint, exchange: Exchange, deadline: float
    ) -> HttpConnection:
        began = time.perf_counter()
        addresses = await self._guard.resolve(endpoint)
        resolved = time.perf_counter()
        exchange.dns_ms = (resolved - began) * 1000
        opened = await _open_socket(addresses, endpoint.port, deadline)
        connected = time.perf_counter()
        exchange.connect_ms = (connected - resolved) * 1000
        try:
            if endpoint.scheme != "https":
                _, connection = await asyncio.get_running_loop().create_connection(
                    self._new_connection, sock=opened
                )
                return connection
            secured = await self._secure(endpoint, opened)
        except BaseException:
            opened.close()
            raise
        exchange.tls_ms = (time.perf_counter() - connected) * 1000
        return secured

    async def _secure(self, endpoint: Endpoint, opened: socket.socket) -> HttpConnection:
        context = context_for(endpoint.tls)
        connection = self._new_connection()
        secured = TlsTransport(
            connection,
            context,
            endpoint.host,
            self._sessions.get(endpoint, context),
            self._scheduler,
            lambda session: self._sessions.store(endpoint, context, session),
        )
        try:
            await asyncio.get_running_loop().create_connection(lambda: secured, sock=opened)
            await secured.ready
        except BaseException:
            secured.abort()
            raise
        return connection


def _explain(error: OSError | UnicodeError, endpoint: Endpoint, exchange: Exchange) -> None:
    """Record the reason of a failed connection in the exchange."""
    if is_shortage(error):
        exchange.failure_kind = FailureKind.LOCAL
        exchange.error = _reason(error)
    elif isinstance(error, (socket.gaierror, UnicodeError)):
        exchange.failure_kind = FailureKind.DNS
        exchange.error = f"{endpoint.host} cannot be resolved: {_reason(error)}"
    elif isinstance(error, ssl.SSLError):
        exchange.failure_kind = FailureKind.TLS
        exchange.error = describe_tls_error(error, endpoint)
    else:
        during_tls = exchange.connect_ms is not None and endpoint.scheme == "https"
        exchange.failure_kind = FailureKind.TLS if during_tls else FailureKind.TRANSPORT
        doing = "the TLS handshake failed" if during_tls else "cannot connect"
        exchange.error = f"{doing}: {_reason(error)}"


def _step(endpoint: Endpoint, exchange: Exchange) -> str:
    if exchange.dns_ms is None:
        return f"resolving the name {endpoint.host}"
    if exchange.connect_ms is None:
        return f"connecting to {endpoint.host} port {endpoint.port}"
    return "performing the TLS handshake"


def _reason(error: Exception) -> str:
    """Return the operating system's description of an error."""
    if isinstance(error, socket.gaierror):
        return error.strerror or str(error)
    if isinstance(error, OSError) and error.errno is not None:
        # Event loops replace `strerror` by their own messages.
        return os.strerror(error.errno)
    return str(error) or type(error).__name__


async def _open_socket(addresses: list[str], port: int, deadline: float) -> socket.socket:
    """Connect to the first address that accepts.

    The addresses share the remaining time evenly, so an unreachable address does not prevent an
    attempt with the next one. They are tried in turn, not concurrently as in RFC 8305: webhooks
    tolerate the latency, and RFC 8305 opens many connections that are never used.
    """
    failures: list[str] = []
    for tried, address in enumerate(addresses, 1):
        now = asyncio.get_running_loop().time()
        is_last = tried == len(addresses)
        share = None if is_last else max(deadline - now, 0.0) / (len(addresses) - tried + 1)
        try:
            async with asyncio.timeout(share):
                return await _open_one(address, port)
        except OSError as error:
            if is_shortage(error):
                # The next address would fail in the same way.
                raise
            # TimeoutError is an OSError, whether raised by the system or by `asyncio.timeout`.
            reason = "no response" if isinstance(error, TimeoutError) else _reason(error)
            failures.append(f"{address} port {port}: {reason}")
    raise OSError("; ".join(failures) or "the name has no addresses")


async def _open_one(address: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    opened = socket.socket(family, socket.SOCK_STREAM)
    try:
        opened.settimeout(0)
        opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        await asyncio.get_running_loop().sock_connect(opened, (address, port))
    except BaseException as error:
        opened.close()
        if (
            isinstance(error, OSError)
            and error.errno == errno.EADDRNOTAVAIL
            and is_out_of_ports(family, address, port)
        ):
            message = "all local ports for connections to this address are in use"
            raise LocalShortage(message) from error
        raise
    return opened

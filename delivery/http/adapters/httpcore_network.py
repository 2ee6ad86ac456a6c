"""Connections for httpcore that detect unrequested bytes.

httpcore buffers bytes after a response in a private queue and reads them as the next response. Here
a request is written to a reused connection only if no bytes have arrived since the last response.
Otherwise httpcore uses another connection.
"""

from __future__ import annotations

import asyncio
import ssl
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, cast

import httpcore

from delivery.http.unread_bytes import watch

if TYPE_CHECKING:
    import select
    from collections.abc import Iterable, Iterator

    from httpcore import SOCKET_OPTION

__all__ = ["NetworkStream", "open_stream"]

_MAX_BUFFERED: Final = 262_144
"""Number of buffered bytes above which the socket is not read."""


async def open_stream(
    address: str,
    port: int,
    timeout: float | None,
    local_address: str | None,
    socket_options: Iterable[SOCKET_OPTION] | None,
) -> NetworkStream:
    """Connect to an IP address.

    Raises:
        httpcore.ConnectError, httpcore.ConnectTimeout: if the connection fails.
    """
    with _mapped(httpcore.ConnectTimeout, httpcore.ConnectError):
        async with asyncio.timeout(timeout):
            transport, protocol = await asyncio.get_running_loop().create_connection(
                _Buffer,
                address,
                port,
                local_addr=None if local_address is None else (local_address, 0),
            )
    raw = transport.get_extra_info("socket")
    for option in socket_options or ():
        raw.setsockopt(*option)
    return NetworkStream(transport, protocol)


class NetworkStream(httpcore.AsyncNetworkStream):
    """Connection for httpcore, with or without TLS."""

    def __init__(self, transport: asyncio.Transport, buffer: _Buffer) -> None:
        self._transport = transport
        self._buffer = buffer
        self._unread: select.poll | None = None
        self._has_read = False
        """True if data were read since the last write, so a response has arrived."""

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Read at most `max_bytes`. An empty result means that the server has closed."""
        self._has_read = True
        with _mapped(httpcore.ReadTimeout, httpcore.ReadError):
            async with asyncio.timeout(timeout):
                return await self._buffer.read(max_bytes)

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Write all bytes.

        Raises:
            httpcore.ConnectionNotAvailable: if bytes have arrived since the last response and a
                new request would begin. httpcore then uses another connection.
        """
        if not buffer:
            return
        if self._has_read:
            if self._is_readable():
                raise httpcore.ConnectionNotAvailable
            self._has_read = False
        with _mapped(httpcore.WriteTimeout, httpcore.WriteError):
            async with asyncio.timeout(timeout):
                self._buffer.raise_if_lost()
                self._transport.write(buffer)
                await self._buffer.drain()

    async def aclose(self) -> None:
        """Close the connection immediately."""
        self._transport.abort()
        # Let the event loop run the callback that releases the socket.
        await asyncio.sleep(0)

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Start TLS on the connection.

        Raises:
            httpcore.ConnectError, httpcore.ConnectTimeout: if the handshake fails.
        """
        try:
            with _mapped(httpcore.ConnectTimeout, httpcore.ConnectError):
                async with asyncio.timeout(timeout):
                    secured = await self._handshake(ssl_context, server_hostname)
        except BaseException:
            self._transport.abort()
            raise
        # Not all event loops call `connection_made` again after the upgrade.
        self._buffer.transport = secured
        return NetworkStream(secured, self._buffer)

    async def _handshake(
        self, context: ssl.SSLContext, server_hostname: str | None
    ) -> asyncio.Transport:
        closed = ssl.SSLEOFError(ssl.SSL_ERROR_EOF, "the server closed the connection")
        closed.reason = closed.args[1]
        try:
            secured = await asyncio.get_running_loop().start_tls(
                self._transport, self._buffer, context, server_hostname=server_hostname
            )
        except ConnectionError as error:
            raise closed from error
        if secured is None:
            raise closed
        return secured

    def get_extra_info(self, info: str) -> Any:
        """Return information for httpcore: readability, or facts about the socket."""
        if info == "is_readable":
            return self._is_readable()
        names = {"server_addr": "peername", "client_addr": "sockname"}
        return self._transport.get_extra_info(names.get(info, info))

    def _is_readable(self) -> bool:
        if self._transport.is_closing() or self._buffer.is_readable:
            return True
        if self._unread is None:
            self._unread = watch(self._transport)
        return bool(self._unread.poll(0))


class _Buffer(asyncio.Protocol):
    """Buffer of received bytes."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport
        self._data = bytearray()
        self._has_ended = False
        self._is_lost = False
        self._error: Exception | None = None
        self._is_paused = False
        self._readable = asyncio.Event()
        self._writable = asyncio.Event()
        self._writable.set()

    @property
    def is_readable(self) -> bool:
        """True if a read would return immediately."""
        return self._readable.is_set()

    def raise_if_lost(self) -> None:
        """Raise the error by which the connection was lost.

        Raises:
            OSError: if it is lost.
        """
        if self._is_lost:
            message = "the connection was closed"
            raise self._error or ConnectionError(message)

    async def read(self, max_bytes: int) -> bytes:
        """Wait for bytes. Return an empty result at the end of the stream."""
        await self._readable.wait()
        data = bytes(self._data[:max_bytes])
        del self._data[:max_bytes]
        if not data and self._error is not None:
            raise self._error
        if not self._data and not self._has_ended:
            self._readable.clear()
        if self._is_paused and len(self._data) < _MAX_BUFFERED:
            self._is_paused = False
            self.transport.resume_reading()
        return data

    async def drain(self) -> None:
        """Wait until the transport accepts more data."""
        await self._writable.wait()
        self.raise_if_lost()

    # The event loop calls the following methods.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Store the transport of the new connection."""
        # No isinstance: uvloop's transports are not subclasses of asyncio.Transport.
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Buffer the received bytes."""
        self._data += data
        self._readable.set()
        if len(self._data) >= _MAX_BUFFERED and not self._is_paused:
            self._is_paused = True
            self.transport.pause_reading()

    def eof_received(self) -> bool:
        """Record the end of the stream, and close the connection."""
        self._has_ended = True
        self._readable.set()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """Wake waiting reads and writes."""
        self._has_ended = self._is_lost = True
        self._error = exc
        self._readable.set()
        self._writable.set()

    def pause_writing(self) -> None:
        """Block further writes."""
        self._writable.clear()

    def resume_writing(self) -> None:
        """Resume blocked writes."""
        self._writable.set()


@contextmanager
def _mapped(
    timed_out: type[httpcore.TimeoutException], failed: type[httpcore.NetworkError]
) -> Iterator[None]:
    """Convert errors of the event loop to errors of httpcore."""
    try:
        yield
    except TimeoutError as error:
        raise timed_out(str(error)) from error
    except (OSError, ssl.CertificateError) as error:
        raise failed(str(error)) from error

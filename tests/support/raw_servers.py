"""Servers on raw connections, which can violate HTTP as a test needs."""

from __future__ import annotations

import asyncio
import re
import socket
import struct
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from delivery.http.guard import Guard
from delivery.http.native import NativeTransport
from delivery.http.request import Request
from delivery.message.request.url import parse_url

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

    from delivery.models import TlsOptions

__all__ = [
    "LOOPBACK",
    "OK",
    "Connected",
    "RawServer",
    "answering",
    "answering_after",
    "native",
    "read_request",
    "request_to",
    "serving",
    "unanswering_port",
    "until",
]

LOOPBACK: Final = ("127.0.0.0/8", "::1/128")
OK: Final = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
_NO_LINGER: Final = struct.pack("ii", 1, 0)
_LENGTH: Final = re.compile(rb"\ncontent-length: *([0-9]+)", re.IGNORECASE)


@dataclass(slots=True)
class Connected:
    """One connection to a server."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def send(self, *parts: bytes) -> None:
        """Write each part separately.

        Raises:
            ConnectionResetError: if the client has closed the connection.
        """
        for part in parts:
            # Writing would raise a RuntimeError under uvloop.
            if self.writer.is_closing():
                raise ConnectionResetError
            self.writer.write(part)
            await self.writer.drain()

    def send_end(self) -> None:
        """Send the end of the stream, unless the client has closed the connection."""
        if not self.writer.is_closing():
            self.writer.write_eof()

    def send_reset(self) -> None:
        """Close with a TCP reset, unless the client has closed the connection."""
        if not self.writer.is_closing():
            self.writer.get_extra_info("socket").setsockopt(
                socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER
            )
        self.reset()

    def reset(self) -> None:
        """Reset the connection and discard data in transit."""
        self.writer.transport.abort()


@dataclass(slots=True)
class RawServer:
    """A running server and its records of connections and requests."""

    port: int
    host: str = "127.0.0.1"
    scheme: str = "http"
    connections: list[Connected] = field(default_factory=list)
    requests: list[tuple[bytes, bytes]] = field(default_factory=list)
    """Heads and bodies that `read_request` has read."""
    pushed: int = 0
    """Bytes sent by handlers that count them."""

    @property
    def url(self) -> str:
        """URL of the server."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}/hooks"


@asynccontextmanager
async def serving(
    handler: Callable[[RawServer, Connected], Awaitable[None]],
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    tls: ssl.SSLContext | None = None,
) -> AsyncIterator[RawServer]:
    """Run a server that passes each connection to the handler and then closes it.

    The system chooses the port unless one is given.
    """
    server = RawServer(0, host, "http" if tls is None else "https")
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        connected = Connected(reader, writer)
        server.connections.append(connected)
        try:
            # A client may disconnect at any time.
            with suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
                await handler(server, connected)
        finally:
            tasks.discard(task)
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()

    listening = await asyncio.start_server(serve, host, port, ssl=tls)
    server.port = listening.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listening.close()
        for task in list(tasks):
            task.cancel()
        for connected in server.connections:
            connected.reset()
        await asyncio.gather(*tasks, return_exceptions=True)


async def read_request(server: RawServer, connected: Connected) -> bool:
    """Read and record one request; return False at the end of the connection."""
    try:
        head = await connected.reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return False
    length = _LENGTH.search(head)
    body = await connected.reader.readexactly(int(length[1])) if length else b""
    server.requests.append((head, body))
    return True


def answering(
    *parts: bytes, close: bool = False
) -> Callable[[RawServer, Connected], Awaitable[None]]:
    """Return a handler that sends these bytes for each request, each part in its own packet."""

    async def handler(server: RawServer, connected: Connected) -> None:
        while await read_request(server, connected):
            await connected.send(*parts)
            if close:
                return

    return handler


def answering_after(
    opened: asyncio.Event, *parts: bytes, first: int = 0
) -> Callable[[RawServer, Connected], Awaitable[None]]:
    """Return a handler that responds immediately to the first requests, and later to the rest."""

    async def handler(server: RawServer, connected: Connected) -> None:
        while await read_request(server, connected):
            if len(server.requests) > first:
                await opened.wait()
            await connected.send(*parts or (OK,))

    return handler


@contextmanager
def unanswering_port() -> Iterator[int]:
    """Find a port of 127.0.0.1 with a full queue, to which a connection is never established."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        port: int = listening.getsockname()[1]
        waiting = []
        try:
            while True:
                connecting = socket.socket()
                waiting.append(connecting)
                connecting.settimeout(0.1)
                try:
                    connecting.connect(("127.0.0.1", port))
                except TimeoutError:
                    break
            yield port
        finally:
            for connecting in waiting:
                connecting.close()


@asynccontextmanager
async def native(
    guard: Guard | None = None,
    *,
    keepalive: float = 15.0,
    connections: int = 100,
    max_head: int = 65_536,
    max_body: int = 65_536,
) -> AsyncIterator[NativeTransport]:
    """Open the engine's transport, which may call loopback addresses unless a guard is given."""
    transport = NativeTransport(
        guard or Guard(LOOPBACK), keepalive, connections, max_head, max_body
    )
    try:
        yield transport
    finally:
        await transport.aclose()


def request_to(
    url: str,
    body: bytes = b"{}",
    *,
    method: str = "POST",
    timeout: float = 30.0,
    connect_timeout: float = 30.0,
    tls: TlsOptions | None = None,
) -> Request:
    """Return a request in the format of the engine."""
    endpoint, target = parse_url(url, tls=tls)
    head = (
        f"{method} {target} HTTP/1.1\r\nHost: {endpoint.host_header}\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return Request(endpoint, method, head.encode(), body, timeout, connect_timeout)


async def until(condition: Callable[[], object], seconds: float = 30.0) -> None:
    """Wait for a condition, checked in each turn of the event loop."""
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.001)

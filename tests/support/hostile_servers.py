"""Hostile servers: endless, stalling, resetting; and the result of an exchange with each."""

from __future__ import annotations

import asyncio
import gzip
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from delivery.models import FailureKind
from tests.support.raw_servers import Connected, RawServer, serving

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterable

__all__ = ["HOSTILE", "Hostile", "serving_hostile"]

_BLOCK: Final = 262_144
_TICK: Final = 0.02
_OK: Final = b"HTTP/1.1 200 OK\r\n"
_CHUNKED: Final = _OK + b"Transfer-Encoding: chunked\r\n\r\n"
_BOMB: Final = gzip.compress(bytes(50_000_000))
_SERVER_HELLO: Final = b"\x16\x03\x03\x00\x7a\x02\x00\x00\x76\x03\x03" + bytes(20)


@dataclass(frozen=True, slots=True)
class Hostile:
    """A kind of server, and the result of a call with a short timeout."""

    handler: Callable[[RawServer, Connected], Awaitable[None]]
    failure_kind: FailureKind | None = None
    error: str = ""
    """Text of the error, or a part of it."""
    status_code: int | None = None
    truncated: bool = False
    tls: bool = False
    """True if the call uses https, even if the server does not speak TLS."""
    pushes: bool = False
    """True if the server sends as much as it can."""


def _pushing(head: bytes, repeated: bytes) -> Callable[[RawServer, Connected], Awaitable[None]]:
    """Return a handler that sends the head, then repeats the bytes while the client reads."""
    block = repeated * max(_BLOCK // len(repeated), 1)

    async def handler(server: RawServer, connected: Connected) -> None:
        await connected.reader.readuntil(b"\r\n\r\n")
        await connected.send(head)
        while True:
            await connected.send(block)
            server.pushed += len(block)

    return handler


def _dripping(head: bytes, drop: bytes) -> Callable[[RawServer, Connected], Awaitable[None]]:
    async def handler(server: RawServer, connected: Connected) -> None:
        await connected.reader.readuntil(b"\r\n\r\n")
        await connected.send(head)
        while True:
            await connected.send(drop)
            await asyncio.sleep(_TICK)

    return handler


def _sending(*parts: bytes) -> Callable[[RawServer, Connected], Awaitable[None]]:
    """Return a handler that sends the parts immediately, then nothing."""

    async def handler(server: RawServer, connected: Connected) -> None:
        await connected.send(*parts)
        await connected.reader.read()

    return handler


def _resetting(sent: bytes | None) -> Callable[[RawServer, Connected], Awaitable[None]]:
    """Return a handler that resets after `sent`; with None it resets without reading."""

    async def handler(server: RawServer, connected: Connected) -> None:
        if sent is not None:
            await connected.reader.readuntil(b"\r\n\r\n")
            await connected.send(sent)
            await asyncio.sleep(_TICK)
        connected.send_reset()

    return handler


async def _redirecting(server: RawServer, connected: Connected) -> None:
    while await connected.reader.readuntil(b"\r\n\r\n"):
        server.requests.append((b"", b""))
        await connected.send(
            b"HTTP/1.1 307 Again\r\nConnection: close\r\nContent-Length: 0\r\n"
            b"Location: %b\r\n\r\n" % server.url.encode()
        )
        return


_TIMEOUT: Final = FailureKind.TIMEOUT
_TRANSPORT: Final = FailureKind.TRANSPORT
_LONG: Final = "the response's headers are longer than"
_MANY: Final = "the server sent more than 100 informational responses (1xx)"
_CUT: Final = "the connection was closed before the whole body had arrived"

HOSTILE: Final = {
    "sends nothing": Hostile(_sending(), _TIMEOUT, "while waiting for a response"),
    "drips headers": Hostile(
        _dripping(_OK + b"X: ", b"x"), _TIMEOUT, "reading the response's headers"
    ),
    "drips a body": Hostile(
        _dripping(_OK + b"\r\n", b"x"), _TIMEOUT, "reading the response's body", 200, truncated=True
    ),
    "drips 1xx": Hostile(
        _dripping(b"", b"HTTP/1.1 102 Wait\r\n\r\n"), _TIMEOUT, "reading the response's headers"
    ),
    "drips chunks": Hostile(
        _dripping(_CHUNKED, b"1\r\nx\r\n"),
        _TIMEOUT,
        "reading the response's body",
        200,
        truncated=True,
    ),
    "declares 1 GB and sends none of it": Hostile(
        _sending(_OK + b"Content-Length: 1000000000\r\n\r\n"),
        _TIMEOUT,
        "reading the response's body",
        200,
        truncated=True,
    ),
    "endless headers": Hostile(_pushing(_OK, b"X-Y: z\r\n"), _TRANSPORT, _LONG, pushes=True),
    "endless header": Hostile(_pushing(_OK + b"X: ", b"x"), _TRANSPORT, _LONG, pushes=True),
    "endless status line": Hostile(
        _pushing(b"HTTP/1.1 200 ", b"x"), _TRANSPORT, _LONG, pushes=True
    ),
    "endless empty lines": Hostile(_pushing(b"", b"\r\n"), _TRANSPORT, _LONG, pushes=True),
    "endless 1xx": Hostile(
        _pushing(b"", b"HTTP/1.1 103 Hints\r\n\r\n"), _TRANSPORT, _MANY, pushes=True
    ),
    "endless 1xx with Connection: close": Hostile(
        _pushing(b"", b"HTTP/1.1 100 C\r\nConnection: close\r\n\r\n"),
        _TRANSPORT,
        _MANY,
        pushes=True,
    ),
    "endless 1xx with two lengths": Hostile(
        _pushing(b"", b"HTTP/1.1 100 C\r\nContent-Length: 1, 1\r\n\r\n"),
        _TRANSPORT,
        _MANY,
        pushes=True,
    ),
    "endless body": Hostile(
        _pushing(_OK + b"\r\n", b"x"), status_code=200, truncated=True, pushes=True
    ),
    "endless chunks": Hostile(
        _pushing(_CHUNKED, b"1\r\nx\r\n"), status_code=200, truncated=True, pushes=True
    ),
    "endless chunk extension": Hostile(
        _pushing(_CHUNKED + b"2;", b"x"), status_code=200, truncated=True, pushes=True
    ),
    "endless chunk size": Hostile(
        _pushing(_CHUNKED, b"0"), status_code=200, truncated=True, pushes=True
    ),
    "endless trailers": Hostile(
        _pushing(_CHUNKED + b"0\r\n", b"X: y\r\n"), status_code=200, truncated=True, pushes=True
    ),
    "declares 1 GB and sends it": Hostile(
        _pushing(_OK + b"Content-Length: 1000000000\r\n\r\n", b"x"),
        status_code=200,
        truncated=True,
        pushes=True,
    ),
    "gzip bomb": Hostile(
        _pushing(_OK + b"Content-Encoding: gzip\r\n\r\n", _BOMB),
        status_code=200,
        truncated=True,
        pushes=True,
    ),
    "endless data after a response": Hostile(
        _pushing(_OK + b"Content-Length: 2\r\n\r\nok", b"HTTP/1.1 500 No\r\n\r\n"),
        status_code=200,
        pushes=True,
    ),
    "redirects to itself": Hostile(_redirecting, status_code=307),
    "resets immediately": Hostile(_resetting(None), _TRANSPORT),
    "resets without a response": Hostile(
        _resetting(b""), _TRANSPORT, "closed without a response: Connection reset by peer"
    ),
    "resets within headers": Hostile(
        _resetting(_OK + b"X: "), _TRANSPORT, "in the middle of the headers"
    ),
    "resets within a body": Hostile(
        _resetting(_OK + b"Content-Length: 9\r\n\r\nok"), _TRANSPORT, _CUT, 200, truncated=True
    ),
    "resets at the end of a body": Hostile(
        _resetting(_OK + b"\r\nok"), _TRANSPORT, _CUT, 200, truncated=True
    ),
    "never speaks TLS": Hostile(_sending(), _TIMEOUT, "performing the TLS handshake", tls=True),
    "half a ServerHello": Hostile(
        _sending(_SERVER_HELLO), _TIMEOUT, "performing the TLS handshake", tls=True
    ),
    "speaks HTTP where TLS is expected": Hostile(
        _sending(_OK + b"\r\n"), FailureKind.TLS, "the TLS handshake failed", tls=True
    ),
    "resets the handshake": Hostile(
        _resetting(None), FailureKind.TLS, "the TLS handshake failed", tls=True
    ),
}
"""Kinds of servers by their behaviour."""


@asynccontextmanager
async def serving_hostile(names: Iterable[str] = HOSTILE) -> AsyncIterator[dict[str, RawServer]]:
    """Run these servers, each on a separate port."""
    async with AsyncExitStack() as stack:
        servers = {}
        for name in names:
            server = await stack.enter_async_context(serving(HOSTILE[name].handler))
            if HOSTILE[name].tls:
                server.scheme = "https"
            servers[name] = server
        yield servers

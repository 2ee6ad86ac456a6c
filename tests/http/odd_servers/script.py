"""What an odd server does, what comes of it, and the server itself."""

from __future__ import annotations

import asyncio
import re
import socket
import struct
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Final

from tests.support.raw_servers import Connected, RawServer, serving

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

__all__ = [
    "CHUNKED",
    "END",
    "LAST",
    "NEXT_BODY",
    "OK",
    "Failure",
    "OddServer",
    "Response",
    "Step",
    "Varying",
    "running",
]

OK: Final = b"HTTP/1.1 200 OK\r\n"
"""A status line."""
END: Final = b"Content-Length: 2\r\n\r\nok"
"""The last header and the body of a proper answer."""
CHUNKED: Final = OK + b"Transfer-Encoding: chunked\r\n\r\n"
"""The head of an answer in chunks."""
LAST: Final = b"0\r\n\r\n"
"""The last chunk."""
NEXT_BODY: Final = b"the next answer"
_NEXT: Final = b"HTTP/1.1 202 Accepted\r\nContent-Length: %d\r\n\r\n%b" % (
    len(NEXT_BODY),
    NEXT_BODY,
)
"""What the server says to every request but the first."""
_LENGTH: Final = re.compile(rb"\ncontent-length: *([0-9]+)", re.IGNORECASE)
_LINGER_NOT: Final = struct.pack("ii", 1, 0)


class Step(Enum):
    """What a server does besides sending bytes."""

    CLOSE = "close both ways"
    HALF_CLOSE = "send no more, and go on reading"
    RESET = "close at once, with a reset"
    REST = "read the rest of the request"
    NEXT_REQUEST = "wait for the first byte of another request"
    GONE = "read until the client has gone"
    END_OF_STREAM = "send no more"
    STAY = "read nothing, until the client has gone"


@dataclass(frozen=True, slots=True)
class Response:
    """An exchange that gave an answer."""

    status: int = 200
    body: bytes = b"ok"
    truncated: bool = False


@dataclass(frozen=True, slots=True)
class Failure:
    """An exchange that gave none."""

    error: str = ""
    """What our error says, or a part of it."""


@dataclass(frozen=True, slots=True)
class Varying:
    """Now an answer and now none, as it happens."""


@dataclass(frozen=True, slots=True)
class OddServer:
    """One line of the table.

    The server reads a request, does what its steps say, and from then on is a proper server, on
    the same connection and on others.
    """

    name: str
    steps: tuple[bytes | Step, ...]
    """Each bytes are a packet of their own."""
    gives: Response | Failure = field(default_factory=Response)
    """What comes of it with our transport, and with httpx's too unless `httpx` is given."""
    httpx: Response | Failure | Varying | None = None
    because: str = ""
    """Why the two differ, in what comes of it or in the headers shown."""
    kept: bool | None = False
    """Whether the connection may serve the next request; None: as it happens."""
    other_headers: bool = False
    """Whether the two show different headers."""
    greeting: bytes = b""
    """What it says when a connection is made."""
    method: str = "POST"
    body: bytes = b"{}"
    reads_body: bool = True
    """Whether the request's body is read before the steps."""
    timeout: float = 5.0

    def __post_init__(self) -> None:
        differ = self.httpx is not None or self.other_headers
        assert differ == bool(self.because), f"{self.name}: a difference, and a reason for it"


@asynccontextmanager
async def running(odd: OddServer) -> AsyncIterator[RawServer]:
    """The server, on a port of its own."""

    async def handler(server: RawServer, connected: Connected) -> None:
        is_first = len(server.connections) == 1
        if is_first and odd.greeting:
            await connected.send(odd.greeting)
            # Before it reads, so that this arrives before the request is sent.
            await asyncio.sleep(0)
        while head := await _head(server, connected):
            if not is_first:
                await _read_body(head, connected)
                await connected.send(_NEXT)
                continue
            is_first = False
            if odd.reads_body:
                await _read_body(head, connected)
            for step in odd.steps:
                if isinstance(step, bytes):
                    await connected.send(step)
                    # A packet of its own.
                    await asyncio.sleep(0.001)
                elif await _do(step, head, connected):
                    return

    async with serving(handler) as server:
        yield server


async def _head(server: RawServer, connected: Connected) -> bytes:
    try:
        head = await connected.reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return b""
    server.requests.append((head, b""))
    return head


async def _read_body(head: bytes, connected: Connected) -> None:
    length = _LENGTH.search(head)
    left = int(length[1]) if length else 0
    while left and (data := await connected.reader.read(min(left, 65_536))):
        left -= len(data)


async def _do(step: Step, head: bytes, connected: Connected) -> bool:
    """Take a step; True: it was the last on this connection."""
    if step is Step.REST:
        await _read_body(head, connected)
        return False
    if step in {Step.HALF_CLOSE, Step.END_OF_STREAM}:
        connected.writer.write_eof()
    if step is Step.END_OF_STREAM:
        return False
    if step is Step.STAY:
        connected.reader._transport.pause_reading()  # type: ignore[attr-defined]
        await asyncio.Event().wait()
    if step in {Step.HALF_CLOSE, Step.GONE}:
        while await connected.reader.read(65_536):
            pass
    if step is Step.NEXT_REQUEST:
        await connected.reader.read(1)
        return False
    if step is Step.RESET:
        connected.writer.get_extra_info("socket").setsockopt(
            socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NOT
        )
        connected.reset()
    return True

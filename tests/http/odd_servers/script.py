"""Description of an odd server, the expected results, and the server."""

from __future__ import annotations

import asyncio
import re
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
"""Status line."""
END: Final = b"Content-Length: 2\r\n\r\nok"
"""Last header and body of a valid response."""
CHUNKED: Final = OK + b"Transfer-Encoding: chunked\r\n\r\n"
"""Head of a chunked response."""
LAST: Final = b"0\r\n\r\n"
"""Last chunk."""
NEXT_BODY: Final = b"the next response"
_NEXT: Final = b"HTTP/1.1 202 Accepted\r\nContent-Length: %d\r\n\r\n%b" % (
    len(NEXT_BODY),
    NEXT_BODY,
)
"""Response to every request except the first."""
_LENGTH: Final = re.compile(rb"\ncontent-length: *([0-9]+)", re.IGNORECASE)


class Step(Enum):
    """Step of a server other than sending bytes."""

    CLOSE = "close both ways"
    HALF_CLOSE = "shut down sending, and continue to read"
    RESET = "reset the connection"
    REST = "read the rest of the request"
    NEXT_REQUEST = "wait for the first byte of another request"
    GONE = "read until the client closes"
    END_OF_STREAM = "shut down sending"
    STAY = "read nothing until the client closes"


@dataclass(frozen=True, slots=True)
class Response:
    """Result of an exchange with a response."""

    status: int = 200
    body: bytes = b"ok"
    truncated: bool = False


@dataclass(frozen=True, slots=True)
class Failure:
    """Result of an exchange without a response."""

    error: str = ""
    """Error of our transport, or a part of it."""


@dataclass(frozen=True, slots=True)
class Varying:
    """Result that depends on timing."""


@dataclass(frozen=True, slots=True)
class OddServer:
    """Entry of the table.

    The server reads a request and performs its steps. Afterwards it behaves correctly on all
    connections.
    """

    name: str
    steps: tuple[bytes | Step, ...]
    """Steps of the server. Each bytes object is sent as a separate packet."""
    expected: Response | Failure = field(default_factory=Response)
    """Result with our transport, and with httpx unless `httpx` is set."""
    httpx: Response | Failure | Varying | None = None
    reason: str = ""
    """Reason for a difference in the result or the headers."""
    reused: bool | None = False
    """True if the next request reuses the connection. None if this depends on timing."""
    other_headers: bool = False
    """True if the two transports return different headers."""
    greeting: bytes = b""
    """Data sent at the start of a connection."""
    method: str = "POST"
    body: bytes = b"{}"
    reads_body: bool = True
    """True if the server reads the body of the request before its steps."""
    timeout: float = 30.0

    def __post_init__(self) -> None:
        differ = self.httpx is not None or self.other_headers
        assert differ == bool(self.reason), (
            f"{self.name}: a difference requires a reason, and vice versa"
        )


@asynccontextmanager
async def running(odd: OddServer) -> AsyncIterator[RawServer]:
    """Run the server on a free port."""

    async def handler(server: RawServer, connected: Connected) -> None:
        is_first = len(server.connections) == 1
        if is_first and odd.greeting:
            await connected.send(odd.greeting)
            # The greeting arrives before the request is sent.
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
                    # Send it as a separate packet.
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
    """Perform a step. Return True if it was the last on this connection."""
    if step is Step.REST:
        await _read_body(head, connected)
        return False
    if step in {Step.HALF_CLOSE, Step.END_OF_STREAM}:
        connected.send_end()
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
        connected.send_reset()
    return True

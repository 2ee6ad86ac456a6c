"""A receiver that only records the arrival time of each request, by the number in its body."""

from __future__ import annotations

import asyncio
import json
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final, cast

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

__all__ = ["Arrivals", "listening"]

_RESPONSE: Final = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Arrivals:
    """Send and arrival time of each trigger, on the monotonic clock that all processes share."""

    def __init__(self) -> None:
        self.url = ""
        self.delays: list[float] = []
        """Seconds from just before each `trigger` to its arrival."""
        self.times: list[float] = []


class _Connection(asyncio.Protocol):
    def __init__(self, arrivals: Arrivals) -> None:
        self._arrivals = arrivals
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._received += data
        while True:
            end = self._received.find(b"\r\n\r\n") + 4
            if end < 4:  # noqa: PLR2004 - not found
                return
            head = self._received[:end].lower()
            length = int(head.split(b"content-length: ", 1)[1].split(b"\r\n", 1)[0])
            if len(self._received) < end + length:
                return
            body, self._received = (
                self._received[end : end + length],
                self._received[end + length :],
            )
            now = time.monotonic()
            self._arrivals.times.append(now)
            self._arrivals.delays.append(now - json.loads(body)["sent"])
            self._transport.write(_RESPONSE)


@asynccontextmanager
async def listening() -> AsyncIterator[Arrivals]:
    """Record arrivals at a free loopback port, in this process."""
    arrivals = Arrivals()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: _Connection(arrivals), "127.0.0.1", 0)
    arrivals.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield arrivals
    finally:
        server.close()

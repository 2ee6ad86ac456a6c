"""Connection of the receiver. It sends responses in the order of the requests."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol, cast

import httptools

from delivery.testing.behaviours import Drop, Respond, render

if TYPE_CHECKING:
    from delivery.testing.behaviours import Step

__all__ = ["ReceivedRequest", "ReceiverConnection", "Recorder"]

_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
_MALFORMED: Final = Respond(400, (("Content-Type", "text/plain"),), b"malformed request\n")
_TOO_LARGE: Final = Respond(413, (("Content-Type", "text/plain"),), b"request too large\n")


@dataclass(slots=True)
class ReceivedRequest:
    """Received request. Not frozen, because that costs time for every request of a benchmark."""

    method: str
    target: str
    """Path and query, as sent."""
    raw_headers: tuple[tuple[bytes, bytes], ...]
    body: bytes
    """Body without transfer coding. Content coding is preserved."""
    received_at: float
    """Time at which the request was complete, in seconds since the epoch."""
    webhook_id: str = ""
    """Header `webhook-id`, or an empty string."""

    @property
    def path(self) -> str:
        """Target without its query."""
        return self.target.partition("?")[0]

    @property
    def headers(self) -> tuple[tuple[str, str], ...]:
        """Names and values, as sent and in order."""
        return tuple(
            (name.decode("latin-1"), value.decode("latin-1")) for name, value in self.raw_headers
        )

    def header(self, name: str) -> str | None:
        """Return the first value of a header. The case of its name is ignored."""
        wanted = name.lower().encode("latin-1")
        for given, value in self.raw_headers:
            if given.lower() == wanted:
                return value.decode("latin-1")
        return None


class Recorder(Protocol):
    """Observer of connections and requests that chooses the steps."""

    def opened(self, connection: ReceiverConnection) -> None:
        """Add a connection."""

    def closed(self, connection: ReceiverConnection) -> None:
        """Remove a connection."""

    def arrived(self, request: ReceivedRequest) -> Step:
        """Record a complete request and return its step."""

    def settled(self, requests: int) -> None:
        """Record the number of requests that now have a response, or never will."""


class ReceiverConnection(asyncio.Protocol):
    """Protocol that parses requests and takes the steps of the recorder."""

    def __init__(self, recorder: Recorder, max_request_body: int) -> None:
        self._recorder = recorder
        self._max_body = max_request_body
        self._parser: Any = httptools.HttpRequestParser(self)
        self._transport: asyncio.Transport | None = None
        self._waiting: deque[tuple[Step, bool, bool]] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._due: float | None = None
        """Time of the first waiting response, by the monotonic clock."""
        self._start_request()

    def close(self) -> None:
        """Close the connection after pending writes."""
        if self._transport is not None:
            self._transport.close()

    # asyncio calls the following methods.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Store the transport and notify the recorder."""
        # No isinstance: uvloop's transports are not subclasses of asyncio.Transport.
        self._transport = cast("asyncio.Transport", transport)
        self._recorder.opened(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Discard waiting requests and notify the recorder."""
        del exc
        self._transport = None
        if self._timer is not None:
            self._timer.cancel()
        self._give_up()
        self._recorder.closed(self)

    def data_received(self, data: bytes) -> None:
        """Parse data. The parser calls `on_message_complete` for each complete request."""
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._refuse(_MALFORMED)
        except httptools.HttpParserError:
            self._refuse(_MALFORMED)

    # httptools calls the following methods.

    def on_url(self, url: bytes) -> None:
        """Collect the request's target, which may arrive in parts."""
        self._target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """Collect a header."""
        self._headers.append((name, value))
        if len(name) == 10 and name.lower() == b"webhook-id":  # noqa: PLR2004 - its length
            self._webhook_id = value
        elif len(name) == 6 and name.lower() == b"expect":  # noqa: PLR2004 - its length
            self._expects_continue = value.lower() == b"100-continue"

    def on_headers_complete(self) -> None:
        """Request the body of a client that waits for `100 Continue`."""
        if self._expects_continue and self._transport is not None and not self._waiting:
            self._transport.write(_CONTINUE)

    def on_body(self, body: bytes) -> None:
        """Collect a part of the body, up to the limit."""
        self._body.append(body)
        self._body_size += len(body)
        if self._body_size > self._max_body:
            self._refuse(_TOO_LARGE)

    def on_message_complete(self) -> None:
        """Record the request, and take its step unless earlier requests wait."""
        if self._transport is None or self._transport.is_closing():
            return
        request = ReceivedRequest(
            self._parser.get_method().decode("latin-1"),
            self._target.decode("latin-1"),
            tuple(self._headers),
            b"".join(self._body),
            time.time(),
            self._webhook_id.decode("latin-1"),
        )
        step = self._recorder.arrived(request)
        keep_alive = bool(self._parser.should_keep_alive())
        self._start_request()
        self._waiting.append((step, keep_alive, request.method != "HEAD"))
        if len(self._waiting) == 1:
            self._take_steps()

    def _start_request(self) -> None:
        self._target = b""
        self._headers: list[tuple[bytes, bytes]] = []
        self._body: list[bytes] = []
        self._body_size = 0
        self._webhook_id = b""
        self._expects_continue = False

    def _take_steps(self) -> None:
        """Take steps until one has to wait. Its timer calls this method again."""
        while self._waiting and self._transport is not None:
            step, keep_alive, with_body = self._waiting[0]
            if isinstance(step, Drop):
                self._transport.close()
                self._give_up()
                return
            if not isinstance(step, Respond):
                return
            if step.delay > 0 and not self._is_due(step.delay):
                return
            self._waiting.popleft()
            self._transport.write(render(step, keep_alive=keep_alive, with_body=with_body))
            self._recorder.settled(1)
            if not keep_alive:
                self._transport.close()
                self._give_up()
                return

    def _is_due(self, delay: float) -> bool:
        """Return whether the delay is over. If not, start a timer for the step."""
        now = time.monotonic()
        if self._due is None:
            self._due = now + delay
        # Timers of uvloop have a precision of 1 ms, and can fire up to 1 ms too early.
        if now < self._due:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(self._due - now, self._take_steps)
            return False
        self._due = self._timer = None
        return True

    def _give_up(self) -> None:
        """Discard the requests that wait for a response."""
        self._recorder.settled(len(self._waiting))
        self._waiting.clear()

    def _refuse(self, response: Respond) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(render(response, keep_alive=False, with_body=True))
            self._transport.close()

"""One connection of the receiver: HTTP/1.1 in, answers out, in the order of the requests."""

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
    """A request as it arrived. Not frozen, because one is made for every request of a benchmark."""

    method: str
    target: str
    """Path and query as sent."""
    raw_headers: tuple[tuple[bytes, bytes], ...]
    body: bytes
    """Without transfer coding; a content coding is left as it is."""
    received_at: float
    """When it was complete: seconds since the epoch."""
    webhook_id: str = ""
    """The header `webhook-id`, or empty."""

    @property
    def path(self) -> str:
        """The target without its query."""
        return self.target.partition("?")[0]

    @property
    def headers(self) -> tuple[tuple[str, str], ...]:
        """Names as sent, and values, in order."""
        return tuple(
            (name.decode("latin-1"), value.decode("latin-1")) for name, value in self.raw_headers
        )

    def header(self, name: str) -> str | None:
        """The first value of a header, whatever the case of its name."""
        wanted = name.lower().encode("latin-1")
        for given, value in self.raw_headers:
            if given.lower() == wanted:
                return value.decode("latin-1")
        return None


class Recorder(Protocol):
    """Who is told of connections and requests, and says what becomes of them."""

    def opened(self, connection: ReceiverConnection) -> None:
        """A client has connected."""

    def closed(self, connection: ReceiverConnection) -> None:
        """The connection is gone."""

    def arrived(self, request: ReceivedRequest) -> Step:
        """A request is complete; what is to be done with it."""

    def settled(self, requests: int) -> None:
        """So many requests have had their answers, or can have none any more."""


class ReceiverConnection(asyncio.Protocol):
    """Parses requests and carries out the steps the recorder decides."""

    def __init__(self, recorder: Recorder, max_request_body: int) -> None:
        self._recorder = recorder
        self._max_body = max_request_body
        self._parser: Any = httptools.HttpRequestParser(self)
        self._transport: asyncio.Transport | None = None
        self._waiting: deque[tuple[Step, bool, bool]] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._due: float | None = None
        """When the first of those waiting may be answered, by the monotonic clock."""
        self._start_request()

    def close(self) -> None:
        """Close the connection, once what was written is out."""
        if self._transport is not None:
            self._transport.close()

    # What asyncio calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport, and let the recorder know."""
        # No isinstance: the transports of uvloop are not subclasses of asyncio.Transport.
        self._transport = cast("asyncio.Transport", transport)
        self._recorder.opened(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget everything."""
        del exc
        self._transport = None
        if self._timer is not None:
            self._timer.cancel()
        self._give_up()
        self._recorder.closed(self)

    def data_received(self, data: bytes) -> None:
        """Parse; every complete request comes back through `on_message_complete`."""
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._refuse(_MALFORMED)
        except httptools.HttpParserError:
            self._refuse(_MALFORMED)

    # What httptools calls.

    def on_url(self, url: bytes) -> None:
        """Collect the request's target, which may come in parts."""
        self._target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """Collect a header."""
        self._headers.append((name, value))
        if len(name) == 10 and name.lower() == b"webhook-id":  # noqa: PLR2004 - its length
            self._webhook_id = value
        elif len(name) == 6 and name.lower() == b"expect":  # noqa: PLR2004 - its length
            self._expects_continue = value.lower() == b"100-continue"

    def on_headers_complete(self) -> None:
        """Tell a client that waits for it to send the body."""
        if self._expects_continue and self._transport is not None and not self._waiting:
            self._transport.write(_CONTINUE)

    def on_body(self, body: bytes) -> None:
        """Collect a part of the body, up to the limit."""
        self._body.append(body)
        self._body_size += len(body)
        if self._body_size > self._max_body:
            self._refuse(_TOO_LARGE)

    def on_message_complete(self) -> None:
        """Record the request, and take its step unless earlier ones still wait for theirs."""
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
        """Answer what can be answered now; a step that takes time calls back."""
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
        """Whether the delay is over; if not, a timer takes the step when it is."""
        now = time.monotonic()
        if self._due is None:
            self._due = now + delay
        # Timers of uvloop count whole milliseconds, and can fire up to one too early.
        if now < self._due:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(self._due - now, self._take_steps)
            return False
        self._due = self._timer = None
        return True

    def _give_up(self) -> None:
        """Leave without an answer the requests that still wait for one."""
        self._recorder.settled(len(self._waiting))
        self._waiting.clear()

    def _refuse(self, answer: Respond) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(render(answer, keep_alive=False, with_body=True))
            self._transport.close()

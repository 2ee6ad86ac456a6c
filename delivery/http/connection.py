"""One connection: writes a request, reads its response, and is then free for the next."""

from __future__ import annotations

import asyncio
import os
import ssl
import time
from math import inf
from typing import TYPE_CHECKING, Final, cast

from delivery.http.response import Progress, ResponseReader
from delivery.http.tls.errors import describe_tls_error
from delivery.http.tls.transport import TlsTransport
from delivery.http.unread_bytes import watch
from delivery.models import FailureKind

if TYPE_CHECKING:
    from collections.abc import Callable

    from delivery.http.request import Request
    from delivery.models import Exchange

__all__ = ["HttpConnection"]

_TICK: Final = 0.001
"""The precision of the event loop's timers, in seconds."""

_JOINED: Final = 65_536
"""Bodies up to this size are copied behind the head, so that one packet carries both."""


class HttpConnection(asyncio.Protocol):
    """Carries one exchange at a time.

    The exchange is over when the future that `start` gives is done; `usable` then says whether
    another may follow.

    Args:
        max_head: See `ResponseReader`.
        max_body: See `ResponseReader`.
        on_closed: Called when the connection is closed, whoever closed it.
    """

    __slots__ = (
        "_arrived",
        "_deadline",
        "_done",
        "_early",
        "_exchange",
        "_loop",
        "_lost_by",
        "_max_early",
        "_on_closed",
        "_reader",
        "_request",
        "_secured",
        "_sent_at",
        "_timer",
        "_timer_at",
        "_transport",
        "idle_since",
        "remote_address",
        "usable",
    )

    def __init__(
        self, max_head: int, max_body: int, on_closed: Callable[[HttpConnection], None]
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._reader = ResponseReader(max_head, max_body)
        self._on_closed = on_closed
        self._transport: asyncio.Transport
        self._max_early = max_head
        self._early: bytes | None = b""
        """What came before the first request: some servers refuse who connects, unasked."""
        self._done: asyncio.Future[None] | None = None
        self._exchange: Exchange
        self._request: Request
        self._lost_by: Exception | None = None
        """Why the connection was closed before it was used."""
        self._sent_at = 0.0
        self._deadline = 0.0
        """When the exchange must be over; this and the next are of `time.perf_counter`."""
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = inf
        self._arrived: Callable[[int], object] | None = None
        """Says whether there are bytes that were not read; made when it is first needed."""
        self._secured: TlsTransport | None = None
        self.remote_address: str | None = None
        self.usable = False
        self.idle_since = 0.0

    def start(self, request: Request, exchange: Exchange, seconds: float) -> asyncio.Future[None]:
        """Write the request; the future is done when the exchange is over.

        That is within `seconds`, which are what is left of the request's timeout.
        """
        exchange.remote_address = self.remote_address
        early, self._early = self._early, None
        if not self.usable and not early:
            exchange.failure_kind = FailureKind.TRANSPORT
            exchange.error = "the connection was closed without a response"
            if self._lost_by is not None:
                _explain(self._lost_by, request, exchange)
            closed: asyncio.Future[None] = self._loop.create_future()
            closed.set_result(None)
            return closed
        self._exchange = exchange
        self._reader.begin(exchange, is_head_request=request.method == "HEAD")
        self._done = done = self._loop.create_future()
        self._request = request
        began_at = time.perf_counter()
        # One deadline for all that follows, rather than a timeout around each step, which costs a
        # context manager and a task's cancellation machinery for every call. The timer of an
        # earlier exchange serves this one too unless it is later: `_expire` sets it again. So a
        # busy connection makes one timer for many calls.
        self._deadline = deadline = began_at + seconds
        if deadline < self._timer_at:
            self._set_timer(deadline, seconds)
        self._sent_at = 0.0
        if len(request.body) <= _JOINED:
            self._transport.write(request.head + request.body)
        else:
            self._transport.writelines((request.head, request.body))
        if self._transport.get_write_buffer_size() == 0:
            self._sent(began_at)
        else:
            # Negative until the last byte is out: see `resume_writing`.
            self._sent_at = -began_at
        if early:
            self._take_early(early)
        return done

    def abort(self) -> None:
        """Close at once, whatever is under way."""
        self.usable = False
        self._stop_timer()
        self._transport.abort()

    def is_quiet(self) -> bool:
        """Return whether the server has sent nothing since its last response, not even an end.

        The event loop may have been too busy to read what arrived, so this asks the system. Call
        it directly before `start`.
        """
        if not self.usable:
            return False
        if self._arrived is None:
            self._arrived = watch(self._transport).poll
        if self._arrived(0):
            return False
        return self._secured is None or self._secured.is_between_records

    # What follows is called by the event loop.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take over a connection that was just made."""
        # uvloop's transports are not subclasses of asyncio.Transport, so no isinstance here.
        self._transport = cast("asyncio.Transport", transport)
        # Tells through `resume_writing` when the last byte has been handed to the system.
        self._transport.set_write_buffer_limits(high=0)
        peer = transport.get_extra_info("peername")
        if peer:
            host = f"[{peer[0]}]" if ":" in peer[0] else peer[0]
            self.remote_address = f"{host}:{peer[1]}"
        if isinstance(transport, TlsTransport):
            self._secured = transport
        self.usable = True

    def resume_writing(self) -> None:
        """Note that the request has been sent."""
        if self._sent_at < 0:
            self._sent(-self._sent_at)

    def data_received(self, data: bytes) -> None:
        """Read on, or find that the server speaks out of turn."""
        done = self._done
        if done is None:
            if self._early is None or len(self._early) + len(data) > self._max_early:
                self.abort()
            else:
                self._early += data
            return
        exchange = self._exchange
        if exchange.first_byte_ms is None:
            now = time.perf_counter()
            if self._sent_at < 0:
                # An answer before the end of the request: what is left of it is not sent.
                exchange.send_ms = (now + self._sent_at) * 1000
                exchange.first_byte_ms = 0.0
            else:
                exchange.first_byte_ms = (now - self._sent_at) * 1000
        progress = self._reader.feed(data)
        if progress is not Progress.READING:
            self._finish(progress)

    def eof_received(self) -> bool:
        """Let the connection close; a half-closed one is of no use."""
        self.usable = False
        if self._done is not None:
            # Not when it is closed, since that waits until the rest of the request is sent.
            self._finish(self._reader.end_of_stream())
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """Conclude what is under way."""
        self.usable = False
        self._stop_timer()
        if self._done is not None:
            # A server that does not want all of a request resets the connection behind its answer.
            is_whole_request_sent = self._sent_at > 0
            progress = self._reader.end_of_stream(is_reset=bool(exc) and is_whole_request_sent)
            if progress is Progress.FAILED and exc is not None:
                _explain(exc, self._request, self._exchange)
            self._finish(progress)
        else:
            self._lost_by = exc
        self._on_closed(self)

    def _take_early(self, early: bytes) -> None:
        # Whoever speaks unasked may do so again.
        usable, self.usable = self.usable, False
        self.data_received(early)
        if self._done is not None and not usable:
            self._finish(self._reader.end_of_stream())

    def _sent(self, began_at: float) -> None:
        now = time.perf_counter()
        self._sent_at = now
        self._exchange.send_ms = (now - began_at) * 1000

    def _set_timer(self, at: float, seconds: float) -> None:
        self._stop_timer()
        self._timer = self._loop.call_later(seconds, self._expire)
        self._timer_at = at

    def _expire(self) -> None:
        self._stop_timer()
        if self._done is None:
            return
        seconds_left = self._deadline - time.perf_counter()
        if seconds_left > _TICK:
            self._set_timer(self._deadline, seconds_left)
            return
        exchange = self._exchange
        if self._sent_at < 0:
            what = "the request was being sent"
        elif not self._reader.began:
            what = "waiting for a response"
        elif exchange.status_code is None:
            what = "the response's headers were being read"
        else:
            what = "the response's body was being read"
        self._reader.cut()
        exchange.failure_kind = FailureKind.TIMEOUT
        exchange.error = f"the timeout of {self._request.timeout:g} s was over while {what}"
        self.usable = False
        self._release()
        self._transport.abort()

    def _finish(self, progress: Progress) -> None:
        exchange = self._exchange
        if progress is Progress.FAILED and exchange.failure_kind is None:
            exchange.failure_kind = FailureKind.TRANSPORT
        if not self._reader.reusable or self._transport.get_write_buffer_size():
            self.usable = False
        self._release()
        if not self.usable:
            self._transport.abort()

    def _release(self) -> None:
        """Wake who waits for the exchange, and let go of it."""
        self._sent_at = 0.0
        del self._exchange
        del self._request
        self._reader.forget()
        done, self._done = self._done, None
        if done is not None and not done.done():
            done.set_result(None)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
            self._timer_at = inf


def _explain(exc: Exception, request: Request, exchange: Exchange) -> None:
    """Say in the exchange why the connection was closed."""
    if isinstance(exc, ssl.SSLError):
        # With TLS 1.3 a server refuses a client's certificate after the handshake.
        exchange.failure_kind = FailureKind.TLS
        exchange.error = describe_tls_error(exc, request.endpoint)
    else:
        code = exc.errno if isinstance(exc, OSError) else None
        # Event loops put texts of their own into errors.
        exchange.error = f"{exchange.error}: {exc if code is None else os.strerror(code)}"

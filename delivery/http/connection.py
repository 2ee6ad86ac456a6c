"""HTTP/1.1 connection, which carries one exchange at a time."""

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

_TIMER_PRECISION: Final = 0.001
"""Precision of the event loop's timers, in seconds."""

_MAX_JOINED_BODY: Final = 65_536
"""Maximum size of a body that is copied into one packet with the head."""


class HttpConnection(asyncio.Protocol):
    """Connection to an endpoint, for one exchange at a time.

    An exchange has ended when the future returned by `start` is done. `usable` is then True if
    another exchange may follow.

    Args:
        max_head: See `ResponseReader`.
        max_body: See `ResponseReader`.
        on_closed: Called when the connection is closed, by either side.
    """

    __slots__ = (
        "_deadline",
        "_done",
        "_early_data",
        "_exchange",
        "_loop",
        "_loss_error",
        "_max_early_data",
        "_on_closed",
        "_poll_unread",
        "_reader",
        "_request",
        "_sent_at",
        "_timer",
        "_timer_at",
        "_tls",
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
        self._max_early_data = max_head
        self._early_data: bytes | None = b""
        """Data received before the first request: some servers reject a client immediately."""
        self._done: asyncio.Future[None] | None = None
        self._exchange: Exchange
        self._request: Request
        self._loss_error: Exception | None = None
        """Error by which the connection was lost before its first request."""
        self._sent_at = 0.0
        self._deadline = 0.0
        """Deadline of the exchange. Like `_timer_at`, a time of `time.perf_counter`."""
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = inf
        self._poll_unread: Callable[[int], object] | None = None
        """Polls the socket for unread bytes. Created on first use."""
        self._tls: TlsTransport | None = None
        self.remote_address: str | None = None
        self.usable = False
        self.idle_since = 0.0

    def start(self, request: Request, exchange: Exchange, seconds: float) -> asyncio.Future[None]:
        """Write the request. The returned future is done when the exchange has ended.

        Args:
            request: Request to write.
            exchange: Receives the response, or the failure.
            seconds: Remaining time of the request's timeout.
        """
        exchange.remote_address = self.remote_address
        early_data, self._early_data = self._early_data, None
        if not self.usable and not early_data:
            exchange.failure_kind = FailureKind.TRANSPORT
            exchange.error = "the connection was closed without a response"
            if self._loss_error is not None:
                _explain(self._loss_error, request, exchange)
            closed: asyncio.Future[None] = self._loop.create_future()
            closed.set_result(None)
            return closed
        self._exchange = exchange
        self._reader.begin(exchange, is_head_request=request.method == "HEAD")
        self._done = done = self._loop.create_future()
        self._request = request
        began_at = time.perf_counter()
        # One deadline covers the whole exchange: a timeout around each step would cost a context
        # manager and a task cancellation for every call. The timer of an earlier exchange is reused
        # unless it fires too late, because `_expire` rearms it. A busy connection therefore creates
        # one timer for many calls.
        self._deadline = deadline = began_at + seconds
        if deadline < self._timer_at:
            self._set_timer(deadline, seconds)
        self._sent_at = 0.0
        if len(request.body) <= _MAX_JOINED_BODY:
            self._transport.write(request.head + request.body)
        else:
            self._transport.writelines((request.head, request.body))
        if self._transport.get_write_buffer_size() == 0:
            self._sent(began_at)
        else:
            # Negative until the last byte is written, see `resume_writing`.
            self._sent_at = -began_at
        if early_data:
            self._read_early_data(early_data)
        return done

    def abort(self) -> None:
        """Close the connection immediately, even during an exchange."""
        self.usable = False
        self._stop_timer()
        self._transport.abort()

    def has_no_unread_data(self) -> bool:
        """Return whether the server has neither sent data nor closed since its last response.

        The event loop may not have read the latest data yet, so this asks the system. Call it
        directly before `start`.
        """
        if not self.usable:
            return False
        if self._poll_unread is None:
            self._poll_unread = watch(self._transport).poll
        if self._poll_unread(0):
            return False
        return self._tls is None or self._tls.is_between_records

    # The event loop calls the following methods.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Store the transport of the new connection."""
        # No isinstance: uvloop's transports are not subclasses of asyncio.Transport.
        self._transport = cast("asyncio.Transport", transport)
        # The event loop then calls `resume_writing` when the system has taken the last byte.
        self._transport.set_write_buffer_limits(high=0)
        peer = transport.get_extra_info("peername")
        if peer:
            host = f"[{peer[0]}]" if ":" in peer[0] else peer[0]
            self.remote_address = f"{host}:{peer[1]}"
        if isinstance(transport, TlsTransport):
            self._tls = transport
        self.usable = True

    def resume_writing(self) -> None:
        """Record the time at which the request was sent completely."""
        if self._sent_at < 0:
            self._sent(-self._sent_at)

    def data_received(self, data: bytes) -> None:
        """Read the response, or close the connection if none is expected."""
        done = self._done
        if done is None:
            if self._early_data is None or len(self._early_data) + len(data) > self._max_early_data:
                self.abort()
            else:
                self._early_data += data
            return
        exchange = self._exchange
        if exchange.first_byte_ms is None:
            now = time.perf_counter()
            if self._sent_at < 0:
                # The server responded before the end of the request. The rest is not sent.
                exchange.send_ms = (now + self._sent_at) * 1000
                exchange.first_byte_ms = 0.0
            else:
                exchange.first_byte_ms = (now - self._sent_at) * 1000
        progress = self._reader.feed(data)
        if progress is not Progress.READING:
            self._finish(progress)

    def eof_received(self) -> bool:
        """Close the connection: a half-closed one cannot be used."""
        self.usable = False
        if self._done is not None:
            # Do not wait for `connection_lost`, which follows the rest of the request.
            self._finish(self._reader.end_of_stream())
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """End the current exchange."""
        self.usable = False
        self._stop_timer()
        if self._done is not None:
            # A server that does not read the whole request resets the connection after its
            # response.
            is_whole_request_sent = self._sent_at > 0
            progress = self._reader.end_of_stream(is_reset=bool(exc) and is_whole_request_sent)
            if progress is Progress.FAILED and exc is not None:
                _explain(exc, self._request, self._exchange)
            self._finish(progress)
        else:
            self._loss_error = exc
        self._on_closed(self)

    def _read_early_data(self, early_data: bytes) -> None:
        # Do not reuse the connection: the server may send unrequested data again.
        usable, self.usable = self.usable, False
        self.data_received(early_data)
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
        if seconds_left > _TIMER_PRECISION:
            self._set_timer(self._deadline, seconds_left)
            return
        exchange = self._exchange
        if self._sent_at < 0:
            step = "sending the request"
        elif not self._reader.began:
            step = "waiting for a response"
        elif exchange.status_code is None:
            step = "reading the response's headers"
        else:
            step = "reading the response's body"
        self._reader.cut()
        exchange.failure_kind = FailureKind.TIMEOUT
        exchange.error = f"the timeout of {self._request.timeout:g} s expired while {step}"
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
        """Complete the future of `start` and release the exchange."""
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
    """Record in the exchange the reason for which the connection was closed."""
    if isinstance(exc, ssl.SSLError):
        # With TLS 1.3, a server rejects a client certificate after the handshake.
        exchange.failure_kind = FailureKind.TLS
        exchange.error = describe_tls_error(exc, request.endpoint)
    else:
        code = exc.errno if isinstance(exc, OSError) else None
        # Event loops replace the text of errors by their own messages.
        exchange.error = f"{exchange.error}: {exc if code is None else os.strerror(code)}"

"""TLS between a connection and its socket.

The TLS of asyncio computes each handshake as soon as its bytes arrive, and cannot resume sessions.
Here, a `HandshakeScheduler` spreads the handshakes, and sessions are resumed.
"""

from __future__ import annotations

import asyncio
import ssl
from typing import TYPE_CHECKING, Any, Final, cast

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from delivery.http.tls.handshake_scheduler import HandshakeScheduler

__all__ = ["TlsTransport"]

_READ_SIZE: Final = 65_536
_RECORD_HEADER: Final = 5
"""Size of the header of a record: its type, a version, and its length in two bytes."""


class TlsTransport(asyncio.Transport, asyncio.Protocol):
    """Transport of a connection, and protocol of its socket.

    Args:
        connection: Protocol that is connected after the handshake.
        context: See `delivery.http.tls.contexts.context_for`.
        host: Host name that the server's certificate must contain.
        session: Session of this context and host to resume, if any.
        scheduler: Scheduler of the handshake's computations.
        on_session: Called once with the session when a later connection can resume it.
    """

    def __init__(
        self,
        connection: asyncio.Protocol,
        context: ssl.SSLContext,
        host: str,
        session: ssl.SSLSession | None,
        scheduler: HandshakeScheduler,
        on_session: Callable[[ssl.SSLSession], None],
    ) -> None:
        super().__init__()
        self._connection = connection
        self._context = context
        self._host = host
        self._session = session
        self._scheduler = scheduler
        self._on_session: Callable[[ssl.SSLSession], None] | None = on_session
        self._socket: asyncio.Transport
        self._has_socket = False
        self._tls: ssl.SSLObject | None = None
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._is_scheduled = False
        self._is_open = True
        self._is_reading = True
        self._rest_of_record = 0
        self._partial_header = b""
        self.ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Done after the handshake. Its exception is the reason of a failure."""

    # The event loop calls the following methods.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin the handshake."""
        # No isinstance: uvloop's transports are not subclasses of asyncio.Transport.
        self._socket = cast("asyncio.Transport", transport)
        self._has_socket = True
        self._schedule_step()

    def data_received(self, data: bytes) -> None:
        """Decrypt data, or continue the handshake."""
        if not self._is_reading:
            return
        self._incoming.write(data)
        self._count_records(data)
        if self.ready.done():
            self._read()
        else:
            self._schedule_step()

    def eof_received(self) -> bool:
        """Close the socket. Many servers close it without the close_notify alert of TLS."""
        if self._is_open and self.ready.done():
            self._connection.eof_received()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """Notify the connection, or fail the handshake."""
        if self._is_scheduled and self._tls is not None:
            # The reason of the server may have arrived just before.
            self._step()
        was_open, self._is_open = self._is_open, False
        if not self.ready.done():
            self._fail_handshake(exc or ConnectionError("the server closed the connection"))
        elif was_open and self._is_connected:
            self._connection.connection_lost(exc)

    def resume_writing(self) -> None:
        """Notify the connection that the system has taken the last byte."""
        if self._is_connected:
            self._connection.resume_writing()

    # The connection calls the following methods.

    @property
    def is_between_records(self) -> bool:
        """True unless a record has arrived partly."""
        return not self._rest_of_record and not self._partial_header

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Encrypt and send data."""
        self.writelines((data,))

    def writelines(self, list_of_data: Iterable[bytes | bytearray | memoryview]) -> None:
        """Encrypt and send several pieces of data in order."""
        assert self._tls is not None
        try:
            for data in list_of_data:
                rest = memoryview(data)
                while rest:
                    rest = rest[self._tls.write(rest) :]
        except ssl.SSLError as error:
            # Later, because the caller does not expect a callback during its write.
            asyncio.get_running_loop().call_soon(self._abort_with, error)
        self._flush()

    def get_write_buffer_size(self) -> int:
        """Return the number of bytes that the system has not taken yet."""
        return self._socket.get_write_buffer_size()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Set the limits in encrypted bytes; see `asyncio.WriteTransport`."""
        self._socket.set_write_buffer_limits(high, low)

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Return information about the socket."""
        return self._socket.get_extra_info(name, default)

    def abort(self) -> None:
        """Close the socket immediately, unless the event loop has closed it."""
        self._is_reading = False
        # So that a step of the handshake that is due does nothing.
        self.ready.cancel()
        if self._has_socket:
            self._socket.abort()

    # The following methods are internal.

    @property
    def _is_connected(self) -> bool:
        return self.ready.done() and not self.ready.cancelled() and self.ready.exception() is None

    def _count_records(self, data: bytes) -> None:
        """Count the missing bytes of the last record (RFC 8446, 5.1)."""
        at = self._rest_of_record
        if self._partial_header:
            data = self._partial_header + data
            self._partial_header = b""
        while len(data) - at >= _RECORD_HEADER:
            at += _RECORD_HEADER + int.from_bytes(data[at + 3 : at + _RECORD_HEADER])
        if at > len(data):
            self._rest_of_record = at - len(data)
        else:
            self._rest_of_record = 0
            self._partial_header = data[at:]

    def _schedule_step(self) -> None:
        if not self._is_scheduled:
            self._is_scheduled = True
            self._scheduler.add(self._host, self._step)

    def _step(self) -> None:
        """Continue the handshake with the received data."""
        self._is_scheduled = False
        if not self._is_open or self.ready.done():
            return
        try:
            if self._tls is None:
                self._tls = self._context.wrap_bio(
                    self._incoming,
                    self._outgoing,
                    server_hostname=self._host,
                    session=self._session,
                )
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            self._flush()
            return
        except (ssl.SSLError, ValueError) as error:
            # Send the alert to the server, if there is one.
            self._flush()
            self._fail_handshake(error)
            self._socket.close()
            return
        self._flush()
        self.ready.set_result(None)
        self._connection.connection_made(self)
        if self._incoming.pending:
            self._read()

    def _read(self) -> None:
        tls = self._tls
        assert tls is not None
        try:
            while self._is_reading and (self._incoming.pending or tls.pending()):
                data = tls.read(_READ_SIZE)
                if not data:
                    self._connection.eof_received()
                    self._socket.close()
                    break
                if self._on_session is not None:
                    self._offer_session(tls)
                self._connection.data_received(data)
        except ssl.SSLWantReadError:
            # The rest of a record has not arrived yet.
            pass
        except ssl.SSLError as error:
            self._abort_with(error)
            return
        # Send the responses of TLS itself, for example to a key update.
        self._flush()

    def _offer_session(self, tls: ssl.SSLObject) -> None:
        # After the handshake, because TLS 1.3 sends its session tickets then. A resumed session can
        # be resumed again, so it stays in the cache; reading it again would cost 0.1 ms.
        if not tls.session_reused and self._on_session is not None:
            session = tls.session
            if session is not None and session.has_ticket:
                self._on_session(session)
        self._on_session = None

    def _flush(self) -> None:
        if self._outgoing.pending:
            self._socket.write(self._outgoing.read())

    def _fail_handshake(self, error: Exception) -> None:
        if not self.ready.done():
            self.ready.set_exception(error)

    def _abort_with(self, error: ssl.SSLError) -> None:
        if self._is_open:
            self._is_open = self._is_reading = False
            self._connection.connection_lost(error)
            self._socket.abort()

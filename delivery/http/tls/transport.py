"""TLS between a connection and its socket.

`asyncio` has TLS of its own, which computes each handshake the moment its bytes arrive, and cannot
resume sessions. Here the handshake is computed at a `HandshakeScheduler`, and sessions are resumed.
"""

from __future__ import annotations

import asyncio
import ssl
from typing import TYPE_CHECKING, Any, Final, cast

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from delivery.http.tls.handshake_scheduler import HandshakeScheduler

__all__ = ["TlsTransport"]

_READ_AT_ONCE: Final = 65_536
_HEADER: Final = 5
"""Bytes before each record: its type, a version, and its length in two bytes."""


class TlsTransport(asyncio.Transport, asyncio.Protocol):
    """To the socket a protocol, to the connection the transport.

    Args:
        connection: Takes part as soon as the handshake is over.
        context: See `delivery.http.tls.contexts.context_for`.
        host: Whom the server's certificate must name.
        session: One of this context and host, to be resumed; None: there is none.
        pace: At which handshakes are computed.
        on_session: Called with the session, once, when it can be resumed by a later connection.
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
        self._tls: ssl.SSLObject | None = None
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._step_is_due = False
        self._is_open = True
        self._is_reading = True
        self._rest_of_record = 0
        self._header = b""
        self.ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Done when the handshake is over; its exception says why it failed."""

    # What follows is called by the event loop.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin the handshake."""
        # uvloop's transports are not subclasses of asyncio.Transport, so no isinstance here.
        self._socket = cast("asyncio.Transport", transport)
        self._ask_for_step()

    def data_received(self, data: bytes) -> None:
        """Decrypt, or go on with the handshake."""
        if not self._is_reading:
            return
        self._incoming.write(data)
        self._follow_records(data)
        if self.ready.done():
            self._read()
        else:
            self._ask_for_step()

    def eof_received(self) -> bool:
        """Let the socket close. Many servers do so without the farewell that TLS asks for."""
        if self._is_open and self.ready.done():
            self._connection.eof_received()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the connection, or whoever waits for it."""
        if self._step_is_due and self._tls is not None:
            # Why the server closes may have arrived just before.
            self._step()
        was_open, self._is_open = self._is_open, False
        if not self.ready.done():
            self._refuse(exc or ConnectionError("the server closed the connection"))
        elif was_open and self._was_made:
            self._connection.connection_lost(exc)

    def resume_writing(self) -> None:
        """Pass on that the last byte has been handed to the system."""
        if self._was_made:
            self._connection.resume_writing()

    # What follows is called by the connection.

    @property
    def is_between_records(self) -> bool:
        """Whether every record that began to arrive has arrived whole."""
        return not self._rest_of_record and not self._header

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Encrypt and send."""
        self.writelines((data,))

    def writelines(self, list_of_data: Iterable[bytes | bytearray | memoryview]) -> None:
        """Encrypt and send, one after the other."""
        assert self._tls is not None
        try:
            for data in list_of_data:
                rest = memoryview(data)
                while rest:
                    rest = rest[self._tls.write(rest) :]
        except ssl.SSLError as error:
            # Not now: whoever writes does not expect to be called meanwhile.
            asyncio.get_running_loop().call_soon(self._break_off, error)
        self._flush()

    def get_write_buffer_size(self) -> int:
        """Bytes that the system has not taken yet."""
        return self._socket.get_write_buffer_size()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """See `asyncio.WriteTransport`; in encrypted bytes."""
        self._socket.set_write_buffer_limits(high, low)

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """What is known of the socket."""
        return self._socket.get_extra_info(name, default)

    def abort(self) -> None:
        """Close at once."""
        self._is_reading = False
        self._socket.abort()

    # What follows is done by nobody else.

    @property
    def _was_made(self) -> bool:
        return self.ready.done() and not self.ready.cancelled() and self.ready.exception() is None

    def _follow_records(self, data: bytes) -> None:
        """Count how much of the last record is still to come (RFC 8446, 5.1)."""
        at = self._rest_of_record
        if self._header:
            data = self._header + data
            self._header = b""
        while len(data) - at >= _HEADER:
            at += _HEADER + int.from_bytes(data[at + 3 : at + _HEADER])
        if at > len(data):
            self._rest_of_record = at - len(data)
        else:
            self._rest_of_record = 0
            self._header = data[at:]

    def _ask_for_step(self) -> None:
        if not self._step_is_due:
            self._step_is_due = True
            self._scheduler.add(self._host, self._step)

    def _step(self) -> None:
        """Go on with the handshake as far as what has arrived allows."""
        self._step_is_due = False
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
            # The server is told why, as far as that can be told.
            self._flush()
            self._refuse(error)
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
                data = tls.read(_READ_AT_ONCE)
                if not data:
                    self._connection.eof_received()
                    self._socket.close()
                    break
                if self._on_session is not None:
                    self._offer_session(tls)
                self._connection.data_received(data)
        except ssl.SSLWantReadError:
            # The rest of a record is still on its way.
            pass
        except ssl.SSLError as error:
            self._break_off(error)
            return
        # Answers of TLS itself, such as to a change of keys.
        self._flush()

    def _offer_session(self, tls: ssl.SSLObject) -> None:
        # Behind the handshake, since that is when TLS 1.3 sends what sessions are resumed by. One
        # that was resumed can be again; to take it out costs a tenth of a millisecond.
        if not tls.session_reused and self._on_session is not None:
            session = tls.session
            if session is not None and session.has_ticket:
                self._on_session(session)
        self._on_session = None

    def _flush(self) -> None:
        if self._outgoing.pending:
            self._socket.write(self._outgoing.read())

    def _refuse(self, error: Exception) -> None:
        if not self.ready.done():
            self.ready.set_exception(error)

    def _break_off(self, error: ssl.SSLError) -> None:
        if self._is_open:
            self._is_open = self._is_reading = False
            self._connection.connection_lost(error)
            self._socket.abort()

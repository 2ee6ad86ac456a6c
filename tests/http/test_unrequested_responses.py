"""An unrequested response is never accepted as the response to the next request.

Each test runs with both transports, with and without TLS. The server is a thread with blocking
sockets, so it can send while the event loop of the client is busy.
"""

from __future__ import annotations

import asyncio
import select
import socket
import ssl
import threading
import time
from contextlib import ExitStack, asynccontextmanager, contextmanager, suppress
from typing import TYPE_CHECKING, Final

import httpx
import pytest
import trustme

from delivery.http.adapters.httpx_transports import HttpxTransport
from delivery.http.guard import Guard
from delivery.http.transport_choice import open_transport
from delivery.models import TlsOptions
from delivery.settings import HttpSettings
from tests.support.raw_servers import LOOPBACK, native, request_to
from tests.support.tls_servers import pem, server_context

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from delivery.http.transport import Transport
    from delivery.models import Exchange

pytestmark = pytest.mark.anyio

REPEATS: Final = 30
UNREQUESTED: Final = b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nunasked"
_PATIENCE: Final = 60.0


def response_to(number: int) -> bytes:
    """Build the response to a request with this number, which is its body."""
    body = b"%d" % number
    return b"HTTP/1.1 503 Busy\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)


class ThreadedServer:
    """Server that responds to each request with its body, and can send unrequested responses.

    Args:
        context: TLS context. None for no TLS.
        together: Send an unrequested response after each response, in the same packet.
    """

    def __init__(self, context: ssl.SSLContext | None, *, together: bool = False) -> None:
        self._context = context
        self._together = together
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.url = (
            f"http{'s' if context else ''}://127.0.0.1:{self._listening.getsockname()[1]}/hooks"
        )
        self.accepted: list[socket.socket] = []
        self._to_push: list[bytes] = []
        self._pushed = threading.Semaphore(0)
        self._wakers: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._start(self._accept)

    def push(self, data: bytes) -> None:
        """Send data on the last connection, and wait until they are sent."""
        # The thread of the connection sends, because TLS connections are not thread-safe.
        self._to_push.append(data)
        self._wakers[-1].send(b"!")
        assert self._pushed.acquire(timeout=_PATIENCE)

    def close(self) -> None:
        """Close all sockets and join all threads."""
        # Shutdown wakes the accepting thread; closing does not.
        with suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        for connection in self.accepted:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()
        for thread in self._threads:
            thread.join(_PATIENCE)
            assert not thread.is_alive()
        for waker in self._wakers:
            waker.close()

    def _start(self, target: Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(target=target, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                accepted, _ = self._listening.accept()
                accepted.settimeout(_PATIENCE)
                # Without this, a second response may wait for the TCP acknowledgement of the first.
                accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                if self._context is not None:
                    accepted = self._context.wrap_socket(accepted, server_side=True)
                waker, woken = socket.socketpair()
                self._wakers.append(waker)
                self.accepted.append(accepted)
                self._start(self._serve, accepted, woken)

    def _serve(self, accepted: socket.socket, woken: socket.socket) -> None:
        received = b""
        with suppress(OSError, ValueError), woken:
            while True:
                ready, _, _ = select.select([accepted, woken], [], [], _PATIENCE)
                if woken in ready:
                    woken.recv(1)
                    accepted.sendall(self._to_push.pop())
                    self._pushed.release()
                    continue
                data = accepted.recv(65_536)
                if not data:
                    return
                received += data
                head, _, body = received.partition(b"\r\n\r\n")
                length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
                if len(body) < length:
                    continue
                received = b""
                accepted.sendall(response_to(int(body)) + (UNREQUESTED if self._together else b""))


@contextmanager
def threaded(context: ssl.SSLContext | None, *, together: bool = False) -> Iterator[ThreadedServer]:
    server = ThreadedServer(context, together=together)
    try:
        yield server
    finally:
        server.close()


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    """Authority of the server's certificate."""
    return trustme.CA()


@pytest.fixture(params=["plain", "tls"])
def context(request: pytest.FixtureRequest, authority: trustme.CA) -> ssl.SSLContext | None:
    """TLS context of the server, or None."""
    return server_context(authority, "127.0.0.1") if request.param == "tls" else None


@asynccontextmanager
async def over_httpx() -> AsyncIterator[Transport]:
    settings = HttpSettings(transport="httpx", allowed_networks=LOOPBACK)
    async with open_transport(settings, None) as transport:
        yield transport


@pytest.fixture(params=["native", "httpx"])
async def transport(request: pytest.FixtureRequest) -> AsyncIterator[Transport]:
    """Each transport."""
    async with native() if request.param == "native" else over_httpx() as opened:
        yield opened


async def ask(
    transport: Transport, server: ThreadedServer, number: int, authority: trustme.CA
) -> Exchange:
    options = TlsOptions(ca=pem(authority.cert_pem)) if "https" in server.url else None
    return await transport.send(request_to(server.url, b"%d" % number, tls=options))


def assert_own(exchange: Exchange, number: int) -> None:
    """Assert that the exchange has the response to the request with this number."""
    assert exchange.failure_kind is None, exchange.error
    assert (exchange.status_code, exchange.response_body) == (503, b"%d" % number)


async def test_a_second_response_in_the_same_packet_is_discarded_with_its_connection(
    transport: Transport, context: ssl.SSLContext | None, authority: trustme.CA
) -> None:
    with threaded(context, together=True) as server:
        for number in range(REPEATS):
            assert_own(await ask(transport, server, number, authority), number)
        assert len(server.accepted) == REPEATS


async def test_an_unrequested_response_during_a_busy_event_loop_is_discarded_with_its_connection(
    transport: Transport, context: ssl.SSLContext | None, authority: trustme.CA
) -> None:
    with threaded(context) as server:
        for number in range(REPEATS):
            assert_own(await ask(transport, server, number, authority), number)
            # The event loop does not run between this line and the next request.
            server.push(UNREQUESTED)
        assert len(server.accepted) == REPEATS


async def test_connections_without_unread_data_are_reused(
    transport: Transport, context: ssl.SSLContext | None, authority: trustme.CA
) -> None:
    with threaded(context) as server:
        for number in range(REPEATS):
            assert_own(await ask(transport, server, number, authority), number)
        assert len(server.accepted) == 1


async def test_a_connection_closed_while_the_event_loop_is_busy_is_replaced(
    transport: Transport, context: ssl.SSLContext | None, authority: trustme.CA
) -> None:
    with threaded(context) as server:
        for number in range(REPEATS):
            assert_own(await ask(transport, server, number, authority), number)
            server.accepted[-1].shutdown(socket.SHUT_RDWR)
        assert len(server.accepted) == REPEATS


async def test_a_partial_tls_record_counts_as_unread_data(authority: trustme.CA) -> None:
    context = server_context(authority, "127.0.0.1")
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(incoming, outgoing, server_side=True)
    halves: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        done = False
        with suppress(ConnectionError):
            while data := await reader.read(65_536):
                incoming.write(data)
                with suppress(ssl.SSLWantReadError):
                    if not done:
                        tls.do_handshake()
                        done = True
                    tls.read(65_536)
                    tls.write(response_to(1))
                    writer.write(outgoing.read())
                    await writer.drain()
                    tls.write(UNREQUESTED)
                    halves.append(outgoing.read())
                    writer.write(halves[0][:10])
                writer.write(outgoing.read())
        writer.close()

    listening = await asyncio.start_server(serve, "127.0.0.1", 0)
    url = f"https://127.0.0.1:{listening.sockets[0].getsockname()[1]}/"
    options = TlsOptions(ca=pem(authority.cert_pem))
    async with native() as transport, listening:
        assert_own(await transport.send(request_to(url, b"1", tls=options)), 1)
        connection = next(iter(transport._idle))
        deadline = time.monotonic() + _PATIENCE
        while connection.has_no_unread_data():
            assert time.monotonic() < deadline
            await asyncio.sleep(0)


async def test_a_custom_transport_of_httpx_discards_a_second_response(
    context: ssl.SSLContext | None, authority: trustme.CA
) -> None:
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    custom = httpx.AsyncHTTPTransport(verify=trusting)
    with ExitStack() as stack:
        server = stack.enter_context(threaded(context, together=True))
        transport = HttpxTransport(custom, Guard(LOOPBACK), 65_536, 65_536)
        for number in range(REPEATS):
            assert_own(await ask(transport, server, number, authority), number)
        await transport.aclose()

"""One deadline covers the whole exchange, and its error names the interrupted step."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import pytest

from delivery.models import Exchange, FailureKind
from tests.support.raw_servers import (
    OK,
    Connected,
    RawServer,
    answering,
    native,
    read_request,
    request_to,
    serving,
    unanswering_port,
    until,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from delivery.http.native import NativeTransport
    from delivery.http.request import Request

pytestmark = pytest.mark.anyio

QUICK = 1.0
"""Timeout in which a slow machine, too, makes a connection and sends and reads some bytes."""


async def timed_out(transport: NativeTransport, request: Request) -> Exchange:
    """Make an exchange that must time out."""
    began = time.perf_counter()
    exchange = await transport.send(request)
    took = time.perf_counter() - began
    limit = min(request.timeout, request.connect_timeout)
    # The upper bound only tells apart a deadline that holds and one that does not.
    assert limit * 0.9 <= took < limit + 20.0
    assert limit * 0.9 <= exchange.total_ms / 1000 <= took
    assert exchange.failure_kind is FailureKind.TIMEOUT, exchange
    return exchange


def dripping(*before: bytes, drip: bytes) -> Callable[[RawServer, Connected], Awaitable[None]]:
    """Create a handler that sends a byte from time to time, forever."""

    async def handler(server: RawServer, connected: Connected) -> None:
        await read_request(server, connected)
        await connected.send(*before)
        while True:
            await connected.send(drip)
            await asyncio.sleep(0.02)

    return handler


async def silent(server: RawServer, connected: Connected) -> None:
    await connected.reader.read()


async def test_the_connect_timeout_limits_connecting() -> None:
    with unanswering_port() as port:
        async with native() as transport:
            exchange = await timed_out(
                transport, request_to(f"http://127.0.0.1:{port}/", connect_timeout=0.2)
            )
    assert exchange.error == (
        f"the connect timeout of 0.2 s expired while connecting to 127.0.0.1 port {port}"
    )
    assert exchange.status_code is None
    assert exchange.dns_ms is not None
    assert exchange.connect_ms is None


async def test_the_deadline_limits_connecting() -> None:
    with unanswering_port() as port:
        async with native() as transport:
            exchange = await timed_out(
                transport, request_to(f"http://127.0.0.1:{port}/", timeout=0.2)
            )
    assert (exchange.error or "").startswith("the timeout of 0.2 s expired while connecting")


async def test_the_connect_timeout_limits_the_tls_handshake() -> None:
    async with serving(silent) as server, native() as transport:
        url = server.url.replace("http:", "https:")
        exchange = await timed_out(transport, request_to(url, connect_timeout=QUICK))
    assert "while performing the TLS handshake" in (exchange.error or "")
    assert exchange.connect_ms is not None
    assert exchange.tls_ms is None


async def test_the_connect_timeout_limits_name_resolution(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    released = asyncio.Event()
    loop = asyncio.get_running_loop()

    def slow(*_: object, **__: object) -> list[object]:
        asyncio.run_coroutine_threadsafe(released.wait(), loop).result()
        return []

    monkeypatch.setattr("socket.getaddrinfo", slow)
    async with native() as transport:
        exchange = await timed_out(
            transport, request_to("http://slow.example/", connect_timeout=0.2)
        )
        released.set()
    assert "while resolving the name slow.example" in (exchange.error or "")
    assert exchange.dns_ms is None


async def test_the_deadline_limits_waiting_for_a_response() -> None:
    async with serving(silent) as server, native() as transport:
        exchange = await timed_out(transport, request_to(server.url, timeout=QUICK))
        assert exchange.error == "the timeout of 1 s expired while waiting for a response"
        assert exchange.send_ms is not None
        assert exchange.first_byte_ms is None
        # The connection is closed, too.
        await until(server.connections[0].writer.is_closing)


async def test_the_deadline_limits_sending() -> None:
    async def handler(server: RawServer, connected: Connected) -> None:
        connected.writer.transport.pause_reading()  # type: ignore[attr-defined]
        await asyncio.Event().wait()

    async with serving(handler) as server, native() as transport:
        exchange = await timed_out(
            transport, request_to(server.url, b"x" * 20_000_000, timeout=QUICK)
        )
    assert "while sending the request" in (exchange.error or "")
    assert exchange.send_ms is None


async def test_the_deadline_limits_reading_slow_headers() -> None:
    handler = dripping(b"HTTP/1.1 200 OK\r\nX: ", drip=b"x")
    async with serving(handler) as server, native() as transport:
        exchange = await timed_out(transport, request_to(server.url, timeout=QUICK))
    assert "while reading the response's headers" in (exchange.error or "")
    assert exchange.status_code is None
    assert exchange.first_byte_ms is not None


async def test_the_deadline_truncates_a_slow_body_and_preserves_the_status() -> None:
    handler = dripping(b"HTTP/1.1 202 Accepted\r\nContent-Length: 1000\r\n\r\n", drip=b"x")
    async with serving(handler) as server, native() as transport:
        exchange = await timed_out(transport, request_to(server.url, timeout=QUICK))
    assert "while reading the response's body" in (exchange.error or "")
    assert exchange.status_code == 202
    assert exchange.response_head.startswith(b"HTTP/1.1 202 Accepted")
    assert set(exchange.response_body) == set(b"x")
    assert exchange.response_size == len(exchange.response_body)
    assert exchange.truncated


async def test_informational_responses_do_not_prolong_the_deadline() -> None:
    handler = dripping(drip=b"HTTP/1.1 102 Processing\r\n\r\n")
    async with serving(handler) as server, native() as transport:
        exchange = await timed_out(transport, request_to(server.url, timeout=QUICK))
    assert exchange.status_code is None


async def test_waiting_for_a_connection_does_not_count_towards_the_deadline() -> None:
    async with serving(silent) as server, native(connections=1) as transport:
        holding = asyncio.create_task(transport.send(request_to(server.url, timeout=60.0)))
        await until(lambda: server.connections)
        waiting = asyncio.create_task(transport.send(request_to(server.url, timeout=QUICK)))
        await asyncio.sleep(QUICK * 1.5)
        holding.cancel()
        exchange = await waiting
    assert exchange.error == "the timeout of 1 s expired while waiting for a response"
    assert exchange.total_ms >= QUICK * 900
    assert exchange.waited_ms >= QUICK * 1000


async def test_a_connection_is_not_reused_after_a_timeout() -> None:
    async def handler(server: RawServer, connected: Connected) -> None:
        if len(server.connections) == 1:
            await silent(server, connected)
        await answering(OK)(server, connected)

    async with serving(handler) as server, native(connections=1) as transport:
        await timed_out(transport, request_to(server.url, timeout=0.1))
        exchange = await transport.send(request_to(server.url))
    assert exchange.status_code == 200
    assert not exchange.reused


async def respond_once(server: RawServer, connected: Connected) -> None:
    """Respond to the first request of a connection only."""
    await read_request(server, connected)
    await connected.send(OK)
    await connected.reader.read()


async def test_a_deadline_can_be_shorter_than_the_previous_one_of_its_connection() -> None:
    async with serving(respond_once) as server, native() as transport:
        assert (await transport.send(request_to(server.url, timeout=60.0))).status_code == 200
        exchange = await timed_out(transport, request_to(server.url, timeout=0.2))
        assert exchange.reused


async def test_a_deadline_can_be_longer_than_the_previous_one_of_its_connection() -> None:
    async with serving(respond_once) as server, native() as transport:
        assert (await transport.send(request_to(server.url, timeout=QUICK))).status_code == 200
        # The timer of the first exchange is still active, and fires during this one.
        exchange = await timed_out(transport, request_to(server.url, timeout=QUICK * 1.5))
        assert exchange.reused


async def test_a_connection_remains_open_after_the_deadlines_of_its_exchanges() -> None:
    async with serving(answering(OK)) as server, native() as transport:
        assert (await transport.send(request_to(server.url, timeout=QUICK))).status_code == 200
        (connection,) = transport._open
        await until(lambda: connection._timer is None)
        assert (await transport.send(request_to(server.url))).reused
        assert len(server.connections) == 1
    assert connection._timer is None

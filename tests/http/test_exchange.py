"""An exchange returns the final response as sent, for all forms of responses."""

from __future__ import annotations

import asyncio

import pytest

from delivery.models import FailureKind
from tests.support.raw_servers import (
    OK,
    Connected,
    RawServer,
    answering,
    native,
    read_request,
    request_to,
    serving,
)

pytestmark = pytest.mark.anyio


async def test_an_exchange_sends_the_request_and_returns_the_response() -> None:
    response = b"HTTP/1.1 201 Made\r\nX-One: a\r\nx-one:b\r\nContent-Length: 5\r\n\r\nhello"
    async with serving(answering(response)) as server, native() as transport:
        request = request_to(server.url, b'{"\xc3\xa4": 1}')
        exchange = await transport.send(request)
    assert server.requests == [(request.head, request.body)]
    assert exchange.status_code == 201
    assert exchange.failure_kind is None
    assert exchange.error is None
    assert (
        exchange.response_head == b"HTTP/1.1 201 Made\r\nX-One: a\r\nx-one:b\r\nContent-Length: 5"
    )
    assert exchange.response_body == b"hello"
    assert exchange.response_size == 5
    assert not exchange.truncated


async def test_the_duration_of_each_step_and_the_address_are_recorded() -> None:
    async with serving(answering(OK)) as server, native() as transport:
        exchange = await transport.send(request_to(server.url))
        again = await transport.send(request_to(server.url))
    steps = (
        exchange.dns_ms, exchange.connect_ms, exchange.send_ms, exchange.first_byte_ms
    )  # fmt: skip
    assert all(step is not None and step >= 0 for step in steps)
    assert sum(step or 0.0 for step in steps) <= exchange.total_ms
    assert exchange.tls_ms is None
    assert exchange.remote_address == f"127.0.0.1:{server.port}"
    assert not exchange.reused
    assert again.reused
    assert again.dns_ms is None
    assert again.connect_ms is None
    assert again.remote_address == f"127.0.0.1:{server.port}"
    assert again.total_ms > 0


async def test_an_ipv6_endpoint_can_be_called() -> None:
    async with serving(answering(OK), host="::1") as server, native() as transport:
        exchange = await transport.send(request_to(server.url))
    assert exchange.status_code == 200
    assert exchange.remote_address == f"[::1]:{server.port}"


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
HINTS = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"


def empty(status: bytes, *headers: bytes) -> bytes:
    return b"\r\n".join([b"HTTP/1.1 " + status, *headers, b"Content-Length: 0", b"", b""])


@pytest.mark.parametrize(
    ("parts", "status", "body"),
    [
        pytest.param(
            (CHUNKED + b"2\r\nab\r\n3;x=y\r\ncde\r\n0\r\n\r\n",),
            200, b"abcde", id="chunked",
        ),
        pytest.param(
            (CHUNKED + b"2\r\nab\r\n0\r\nX-T: 1\r\n\r\n",),
            200, b"ab", id="trailers",
        ),
        pytest.param(
            (b"HT", b"TP/1.1 200 O", b"K\r\nContent-Length: 4\r\n\r", b"\nab", b"cd"),
            200, b"abcd", id="in pieces",
        ),
        pytest.param(
            (b"HTTP/1.1 100 Continue\r\n\r\n", HINTS + OK),
            200, b"ok", id="informational",
        ),
        pytest.param((b"HTTP/1.1 204 No Content\r\n\r\n",), 204, b"", id="204"),
        pytest.param((b"HTTP/1.1 304 Same\r\nContent-Length: 7\r\n\r\n",), 304, b"", id="304"),
        pytest.param((b"HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nok",), 200, b"ok", id="no reason"),
        pytest.param((b"\r\n\r\n" + OK,), 200, b"ok", id="empty lines before"),
        pytest.param(
            (b"HTTP/1.1 200 OK\r\nX: a\r\n b\r\nContent-Length: 2\r\n\r\nok",),
            200, b"ok", id="folded",
        ),
        pytest.param(
            (b"HTTP/1.1 200 OK\nContent-Length: 6\n\na\r\n\r\nb",), 200, b"a\r\n\r\nb", id="bare LF"
        ),
        pytest.param((empty(b"302 Found", b"Location: /x"),), 302, b"", id="redirect"),
        pytest.param((empty(b"599 Odd"),), 599, b"", id="unknown status"),
    ],
)  # fmt: skip
async def test_a_framed_response_is_read_completely_and_its_connection_reused(
    parts: tuple[bytes, ...], status: int, body: bytes
) -> None:
    async with serving(answering(*parts)) as server, native() as transport:
        first = await transport.send(request_to(server.url))
        second = await transport.send(request_to(server.url))
    for exchange in (first, second):
        assert exchange.failure_kind is None, exchange.error
        assert exchange.status_code == status
        assert exchange.response_body == body
        assert exchange.response_head.startswith(b"HTTP/1.1 %d" % status)
        assert not exchange.response_head.endswith((b"\r", b"\n"))
    assert second.reused
    assert len(server.connections) == 1


@pytest.mark.parametrize(
    "response",
    [
        b"HTTP/1.1 200 OK\r\n\r\nuntil the end",
        b"HTTP/1.0 200 OK\r\n\r\nuntil the end",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\n\r\nuntil the end",
    ],
)
async def test_a_response_without_a_length_ends_with_the_connection(response: bytes) -> None:
    async with serving(answering(response, close=True)) as server, native() as transport:
        exchange = await transport.send(request_to(server.url))
        assert exchange.failure_kind is None, exchange.error
        assert exchange.status_code == 200
        assert exchange.response_body == b"until the end"
        assert not (await transport.send(request_to(server.url))).reused


async def test_a_response_to_head_has_no_body() -> None:
    response = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"
    async with serving(answering(response)) as server, native() as transport:
        for _ in range(2):
            exchange = await transport.send(request_to(server.url, b"", method="HEAD"))
            assert exchange.failure_kind is None, exchange.error
            assert exchange.status_code == 200
            assert exchange.response_body == b""
            assert b"Content-Length: 1000" in exchange.response_head


@pytest.mark.parametrize("header", [b"", b"Connection: upgrade\r\nUpgrade: x\r\n"])
async def test_switching_protocols_is_a_final_response_and_ends_the_connection(
    header: bytes,
) -> None:
    response = b"HTTP/1.1 101 Switching Protocols\r\n" + header + b"\r\n\x00\x01\x02"
    async with serving(answering(response)) as server, native() as transport:
        for _ in range(2):
            exchange = await transport.send(request_to(server.url))
            assert exchange.status_code == 101
            assert exchange.failure_kind is None
            assert not exchange.reused


@pytest.mark.parametrize(
    ("response", "error"),
    [
        (b"", "closed without a response"),
        (b"HTTP/1.1 200 OK\r\nConte", "in the middle of the headers"),
        (b"SSH-2.0-OpenSSH_9.6\r\n", "not HTTP/1.1"),
        (b"HTTP/2 200 OK\r\n\r\n", "not HTTP/1.1"),
        (b"HTTP/1.1 000 Odd\r\n\r\n", "not HTTP/1.1"),
        (b"HTTP/1.1 20 Odd\r\n\r\n", "not HTTP/1.1"),
        (b"\x15\x03\x01\x00\x02\x02\x46", "not HTTP/1.1"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", "not HTTP/1.1"),
        (b"HTTP/1.1 100 Continue\r\n\r\n", "in the middle of the headers"),
    ],
)
async def test_an_invalid_response_is_a_transport_failure(response: bytes, error: str) -> None:
    async with serving(answering(response, close=True)) as server, native() as transport:
        exchange = await transport.send(request_to(server.url))
    assert exchange.failure_kind is FailureKind.TRANSPORT
    assert error in (exchange.error or "")
    assert exchange.status_code is None


@pytest.mark.parametrize(
    "response",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nonly this\r\n",
    ],
)
async def test_an_incomplete_body_is_stored_and_is_a_failure(response: bytes) -> None:
    async with serving(answering(response, close=True)) as server, native() as transport:
        exchange = await transport.send(request_to(server.url))
    assert exchange.failure_kind is FailureKind.TRANSPORT
    assert "before the whole body" in (exchange.error or "")
    assert exchange.status_code == 200
    assert exchange.response_body == b"only this"
    assert exchange.truncated


@pytest.mark.parametrize("size", [0, 1, 65_536, 65_537, 3_000_000])
async def test_bodies_of_all_sizes_arrive_completely(size: int) -> None:
    body = b"x" * size
    async with serving(answering(OK)) as server, native() as transport:
        exchange = await transport.send(request_to(server.url, body))
    assert exchange.status_code == 200
    assert exchange.send_ms is not None
    assert server.requests[0][1] == body


@pytest.mark.parametrize("reset", [False, True])
async def test_a_response_before_the_end_of_the_request_is_accepted(reset: bool) -> None:  # noqa: FBT001
    async def handler(server: RawServer, connected: Connected) -> None:
        await connected.reader.readuntil(b"\r\n\r\n")
        await connected.send(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n")
        if not reset:
            await connected.reader.read()

    async with serving(handler) as server, native() as transport:
        # Larger than the buffers of the system.
        exchange = await transport.send(request_to(server.url, b"x" * 20_000_000))
        assert exchange.status_code == 413, exchange
        assert exchange.failure_kind is None
        assert exchange.first_byte_ms == 0.0
        again = await transport.send(request_to(server.url, b"x" * 20_000_000))
        assert again.status_code == 413
        assert not again.reused


async def test_a_reset_instead_of_a_response_is_a_transport_failure() -> None:
    async def handler(server: RawServer, connected: Connected) -> None:
        await read_request(server, connected)
        connected.reset()

    async with serving(handler) as server, native() as transport:
        exchange = await transport.send(request_to(server.url))
    assert exchange.failure_kind is FailureKind.TRANSPORT
    assert exchange.remote_address == f"127.0.0.1:{server.port}"
    assert len(server.connections) == 1


async def test_a_refused_connection_is_a_transport_failure_with_the_address() -> None:
    async with serving(answering(OK)) as server, native() as transport:
        pass
    exchange = await transport.send(request_to(server.url))
    assert exchange.failure_kind is FailureKind.TRANSPORT
    async with native() as transport:
        exchange = await transport.send(request_to(server.url))
    assert exchange.failure_kind is FailureKind.TRANSPORT
    assert f"127.0.0.1 port {server.port}: Connection refused" in (exchange.error or "")


async def test_a_hundred_concurrent_exchanges_receive_their_own_responses() -> None:
    async def handler(server: RawServer, connected: Connected) -> None:
        while await read_request(server, connected):
            body = server.requests[-1][1]
            await connected.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body), body)

    async with serving(handler) as server, native(connections=7) as transport:

        async def call(number: int) -> None:
            body = b"%d" % number * (number + 1)
            exchange = await transport.send(request_to(server.url, body))
            assert exchange.response_body == body

        await asyncio.gather(*[call(number) for number in range(100)])
        assert len(server.connections) <= 7

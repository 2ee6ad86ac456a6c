"""The limits of responses hold: for reading, storing and decompressing."""

from __future__ import annotations

import gzip
import zlib
from typing import TYPE_CHECKING

import pytest

from delivery.http.body import ResponseBody
from delivery.models import Exchange, FailureKind
from tests.support.raw_servers import (
    OK,
    Connected,
    RawServer,
    answering,
    native,
    request_to,
    serving,
)

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.anyio

MEGABYTE = b"x" * 1_000_000


async def exchange_with(*parts: bytes, close: bool = False) -> Exchange:
    """Make one exchange with limits of 4 KiB for the head and 1,000 bytes for the body."""
    async with (
        serving(answering(*parts, close=close)) as server,
        native(max_head=4096, max_body=1000) as transport,
    ):
        exchange = await transport.send(request_to(server.url))
        if exchange.truncated or exchange.failure_kind is not None:
            assert not (await transport.send(request_to(server.url))).reused
        return exchange


def with_body(body: bytes, *headers: bytes) -> bytes:
    lines = [b"HTTP/1.1 200 OK", b"Content-Length: %d" % len(body), *headers, b"", body]
    return b"\r\n".join(lines)


@pytest.mark.parametrize(
    "parts",
    [
        pytest.param((b"HTTP/1.1 200 OK\r\nX: " + b"x" * 5000 + b"\r\n\r\n",), id="one packet"),
        pytest.param((b"HTTP/1.1 200 OK\r\nX: ", *[b"x" * 100] * 100), id="many packets"),
        pytest.param((b"HTTP/1.1 200 " + MEGABYTE,), id="status line"),
        pytest.param(
            (b"HTTP/1.1 100 Continue\r\nX: " + b"y" * 50 + b"\r\n\r\n",) * 90,
            id="informational",
        ),
        pytest.param(
            (b"HTTP/1.1 103 Hints\r\nX: " + b"x" * 3000 + b"\r\n\r\n",) * 2,
            id="large informational",
        ),
    ],
)
async def test_a_head_above_the_limit_is_a_transport_failure(parts: tuple[bytes, ...]) -> None:
    exchange = await exchange_with(*parts)
    assert exchange.failure_kind is FailureKind.TRANSPORT
    assert exchange.error == "the response's headers are longer than 4096 bytes"
    assert exchange.status_code is None


async def test_too_many_informational_responses_are_a_transport_failure() -> None:
    exchange = await exchange_with(b"HTTP/1.1 102 Wait\r\n\r\n" * 101, OK)
    assert exchange.failure_kind is FailureKind.TRANSPORT
    assert exchange.error == "the server sent more than 100 informational responses (1xx)"


async def test_the_maximum_number_of_informational_responses_is_accepted() -> None:
    exchange = await exchange_with(b"HTTP/1.1 102 Wait\r\n\r\n" * 100, OK)
    assert exchange.status_code == 200


async def test_a_body_at_the_limit_is_complete() -> None:
    exchange = await exchange_with(with_body(b"x" * 1000))
    assert exchange.response_body == b"x" * 1000
    assert not exchange.truncated


@pytest.mark.parametrize(
    "response",
    [
        pytest.param(with_body(b"x" * 1001), id="a byte more"),
        pytest.param(with_body(MEGABYTE), id="a megabyte"),
        pytest.param(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nf4240\r\n" + MEGABYTE,
            id="chunked",
        ),
        pytest.param(b"HTTP/1.1 200 OK\r\n\r\n" + MEGABYTE, id="without length"),
    ],
)
async def test_a_body_above_the_limit_is_truncated_and_counts_as_a_response(
    response: bytes,
) -> None:
    exchange = await exchange_with(response)
    assert exchange.failure_kind is None
    assert exchange.status_code == 200
    assert exchange.response_body == b"x" * 1000
    assert exchange.response_size > 1000
    assert exchange.truncated


@pytest.mark.parametrize(
    ("coding", "compressed"),
    [
        (b"gzip", gzip.compress(b"hello", mtime=0)),
        (b"x-gzip", gzip.compress(b"hello", mtime=0)),
        (b" GZip ", gzip.compress(b"hello", mtime=0)),
        (b"deflate", zlib.compress(b"hello")),
        (b"deflate", zlib.compress(b"hello")[2:-4]),
    ],
)
async def test_compressed_bodies_are_decompressed(coding: bytes, compressed: bytes) -> None:
    exchange = await exchange_with(with_body(compressed, b"Content-Encoding: " + coding))
    assert exchange.response_body == b"hello"
    assert not exchange.truncated


@pytest.mark.parametrize("piece", [1, 3, 1000])
@pytest.mark.parametrize("body", [gzip.compress(b"hello", mtime=0), zlib.compress(b"hello")[2:-4]])
async def test_compressed_bodies_may_arrive_in_pieces(body: bytes, piece: int) -> None:
    pieces = [body[start : start + piece] for start in range(0, len(body), piece)]
    chunks = [b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in pieces]
    head = b"HTTP/1.1 200 OK\r\nContent-Encoding: deflate\r\nTransfer-Encoding: chunked\r\n\r\n"
    exchange = await exchange_with(head, *chunks, b"0\r\n\r\n")
    assert exchange.response_body == b"hello"


@pytest.mark.parametrize("compress", [gzip.compress, zlib.compress])
async def test_a_decompression_bomb_is_truncated_at_the_limit(
    compress: Callable[[bytes], bytes],
) -> None:
    bomb = compress(b"\0" * 500_000)
    assert len(bomb) < 1000
    exchange = await exchange_with(with_body(bomb, b"Content-Encoding: gzip"))
    assert exchange.failure_kind is None
    assert exchange.status_code == 200
    assert exchange.response_body == b"\0" * 1000
    assert exchange.truncated


@pytest.mark.parametrize(
    ("coding", "body"),
    [(b"br", b"\x0b\x02\x80hello\x03"), (b"gzip", b"not gzip at all"), (b"gzip, br", b"whatever")],
)
async def test_a_body_that_cannot_be_decompressed_is_stored_unchanged(
    coding: bytes, body: bytes
) -> None:
    exchange = await exchange_with(with_body(body, b"Content-Encoding: " + coding))
    assert exchange.response_body == body
    assert not exchange.truncated


def test_a_corrupt_compressed_body_is_truncated_at_the_corruption() -> None:
    content = bytes(range(256)) * 3
    damaged = gzip.compress(content, compresslevel=0)[:-8] + bytes(8)
    body = ResponseBody(1000)
    body.begin(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip")
    assert body.feed(damaged[:100])
    assert not body.feed(damaged[100:])
    assert body.content
    assert content.startswith(body.content)


@pytest.mark.parametrize(
    "tail",
    [
        pytest.param(b"0\r\n" + b"X: y\r\n" * 5000, id="trailers"),
        pytest.param(b"1;" + b"x" * 20_000 + b"\r\n", id="chunk extension"),
    ],
)
async def test_endless_framing_is_truncated_and_counts_as_a_response(tail: bytes) -> None:
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n"
    exchange = await exchange_with(head, tail)
    assert exchange.failure_kind is None
    assert exchange.status_code == 200
    assert exchange.response_body == b"ok"
    assert exchange.truncated


async def test_a_limit_of_zero_stores_no_body() -> None:
    response = with_body(gzip.compress(b"hello", mtime=0), b"Content-Encoding: gzip")
    async with serving(answering(response)) as server, native(max_body=0) as transport:
        exchange = await transport.send(request_to(server.url))
    assert exchange.status_code == 200
    assert exchange.response_body == b""
    assert exchange.truncated


async def test_reading_stops_for_an_endless_response() -> None:
    written = 0

    async def handler(server: RawServer, connected: Connected) -> None:
        nonlocal written
        await connected.reader.readuntil(b"\r\n\r\n")
        await connected.send(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            await connected.send(b"x" * 10_000)
            written += 10_000

    async with serving(handler) as server, native() as transport:
        exchange = await transport.send(request_to(server.url))
    assert exchange.status_code == 200
    assert len(exchange.response_body) == 65_536
    # The buffers of the system are larger than the limit.
    assert written < 20_000_000

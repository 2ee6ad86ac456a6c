"""Properties of the parser of responses."""

from __future__ import annotations

import gzip
import itertools
import zlib

from hypothesis import given
from hypothesis import strategies as st

from delivery.http.response import Progress, ResponseReader
from delivery.message.request.head import message_headers
from delivery.models import Exchange

MAX_HEAD = 300
MAX_BODY = 100
FRESH = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

pieces = st.sampled_from(
    [
        b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 100 Continue\r\n", b"HTTP/1.1 204 No\r\n",
        b"HTTP/1.1 101 Switch\r\n", b"HTTP/1.0 500 No\r\n", b"HTTP/1.1 200 OK\n",
        b"HTTP/1.0 100 C\r\n\r\n", b"HTTP/1.1 103 H\r\nConnection: close\r\n\r\n",
        b"HTTP/3.2 299\r\n",
        b"Content-Length: 5\r\n", b"Content-Length: 0\r\n", b"Content-Length: 500\r\n",
        b"content-length: 5, 5\r\n", b"Content-Length : 5\r\n", b"Content-Length:\r\n 5\r\n",
        b"Content-Length: 5\n", b"Content-Length: 99999999999999999999999\r\n",
        b"Transfer-Encoding: chunked\r\n", b"Transfer-Encoding: gzip,\r\n chunked\r\n",
        b"Transfer-Encoding: chunked, x\r\n", b"Connection: close\r\n",
        b"Content-Encoding: gzip\r\n", b"Content-Encoding: deflate\r\n",
        b"Upgrade: x\r\nConnection: upgrade\r\n", b" folded\r\n", b"X:\n", b"\r\n", b"\n", b"\r",
        b"5\r\nhello\r\n", b"5  \r\nhello\r\n", b"5;x=y\r\nhello\r\n", b"0\r\n", b"0\r\n\r\n",
        b"fffffffffffffffff\r\n", b"hello", b"x" * 120, b"Y: " + b"y" * 120, b"\0",
        gzip.compress(b"hello", mtime=0), zlib.compress(b"\0" * 3000),
    ]
)  # fmt: skip
invalid = st.lists(st.one_of(pieces, st.binary(max_size=8)), max_size=14).map(b"".join)
"""Valid and invalid pieces of responses in any order."""


def head_of(status: bytes, informational: int, headers: list[bytes], *more: bytes) -> bytes:
    return b"".join(
        [b"HTTP/1.1 103 Hints\r\nX: y\r\n\r\n" * informational, status, *headers, *more, b"\r\n"]
    )


statuses = st.sampled_from([b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 500 \r\n", b"HTTP/1.1 404\r\n"])
headers = st.lists(
    st.sampled_from([b"X-A: b\r\n", b"X-B: c\r\n  d\r\n", b"X-C: \xff\r\n", b"Server: x\n"]),
    max_size=3,
)
sized = st.builds(
    lambda status, informational, headers, body: (
        head_of(status, informational, headers, b"Content-Length: %d\r\n" % len(body)) + body,
        body,
    ),
    statuses,
    st.integers(0, 2),
    headers,
    st.binary(max_size=60),
)
chunked = st.builds(
    lambda status, informational, headers, chunks, extension, trailer: (
        head_of(status, informational, headers, b"Transfer-Encoding: chunked\r\n")
        + b"".join(b"%x%b\r\n%b\r\n" % (len(chunk), extension, chunk) for chunk in chunks)
        + b"0\r\n"
        + trailer
        + b"\r\n",
        b"".join(chunks),
    ),
    statuses,
    st.integers(0, 2),
    headers,
    st.lists(st.binary(min_size=1, max_size=20), max_size=4),
    st.sampled_from([b"", b";a=b", b";c", b"  "]),
    st.sampled_from([b"", b"X-T: u\r\n"]),
)
valid = st.one_of(sized, chunked)
"""Complete responses with their bodies."""


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """Generate one or two valid responses, then change, remove, repeat or insert bytes."""
    data = bytearray(b"".join(whole for whole, _ in draw(st.lists(valid, min_size=1, max_size=2))))
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(data)))
        end = min(start + draw(st.integers(0, 12)), len(data))
        inserted = draw(
            st.one_of(st.binary(max_size=4), pieces, st.just(bytes(data[start:end]) * 2))
        )
        data[start:end] = inserted
    return bytes(data)


any_bytes = st.one_of(invalid, mutated(), st.binary(max_size=200))
places = st.lists(st.integers(0, 2000), max_size=8)


def read(packets: list[bytes], *, is_head_request: bool = False) -> tuple[Exchange, Progress, bool]:
    reader = ResponseReader(MAX_HEAD, MAX_BODY)
    exchange = Exchange()
    reader.begin(exchange, is_head_request=is_head_request)
    for packet in packets:
        if reader.feed(packet) is not Progress.READING:
            break
    else:
        reader.end_of_stream()
    return exchange, reader.progress, reader.reusable


def cut(data: bytes, at: list[int]) -> list[bytes]:
    edges = [0, *sorted(position % (len(data) + 1) for position in at), len(data)]
    packets = [data[start:end] for start, end in itertools.pairwise(edges)]
    return [packet for packet in packets if packet]


@given(any_bytes, places, st.booleans())
def test_the_reader_accepts_any_bytes_and_respects_its_limits(
    data: bytes,
    at: list[int],
    is_head_request: bool,  # noqa: FBT001
) -> None:
    exchange, progress, _ = read(cut(data, at), is_head_request=is_head_request)
    assert progress is not Progress.READING
    assert len(exchange.response_head) <= MAX_HEAD
    assert len(exchange.response_body) <= MAX_BODY
    assert (exchange.error is not None) == (progress is Progress.FAILED)
    if progress is not Progress.FAILED:
        assert exchange.status_code is not None
        assert exchange.response_head.startswith(b"HTTP/")
        message_headers(exchange.response_head)
    assert b"\n\n" not in exchange.response_head
    assert b"\r\n\r\n" not in exchange.response_head


@given(any_bytes, places, st.booleans())
def test_the_packets_do_not_affect_the_result(
    data: bytes,
    at: list[int],
    is_head_request: bool,  # noqa: FBT001
) -> None:
    whole, whole_progress, _ = read(cut(data, []), is_head_request=is_head_request)
    parts, parts_progress, _ = read(cut(data, at), is_head_request=is_head_request)
    assert parts_progress == whole_progress
    assert parts.status_code == whole.status_code
    assert parts.response_head == whole.response_head
    assert parts.response_body == whole.response_body
    assert parts.truncated == whole.truncated


@given(valid, places)
def test_a_valid_response_is_complete_and_the_connection_reusable(
    response: tuple[bytes, bytes], at: list[int]
) -> None:
    data, body = response
    exchange, progress, reusable = read(cut(data, at))
    assert progress is Progress.DONE
    assert reusable
    assert exchange.status_code in {200, 404, 500}
    assert exchange.response_head in data
    assert exchange.response_body == body[:MAX_BODY]
    assert not exchange.truncated


@given(valid, st.binary(min_size=1, max_size=40))
def test_bytes_after_a_response_are_not_read_as_the_next_response(
    response: tuple[bytes, bytes], junk: bytes
) -> None:
    """The connection is reusable only after empty lines."""
    data, body = response
    exchange, progress, reusable = read([data + junk])
    assert progress is Progress.DONE
    assert exchange.response_body == body[:MAX_BODY]
    assert not reusable or not junk.strip(b"\r\n")


@given(st.lists(valid, min_size=2, max_size=4), places)
def test_responses_on_one_connection_do_not_leak_into_each_other(
    responses: list[tuple[bytes, bytes]], at: list[int]
) -> None:
    reader = ResponseReader(MAX_HEAD, MAX_BODY)
    for data, body in responses:
        exchange = Exchange()
        reader.begin(exchange, is_head_request=False)
        for packet in cut(data, at):
            reader.feed(packet)
        assert reader.progress is Progress.DONE
        assert reader.reusable
        assert exchange.response_head in data
        assert exchange.response_body == body[:MAX_BODY]
        reader.forget()


@given(any_bytes, places)
def test_a_reusable_connection_reads_the_next_response_correctly(
    data: bytes, at: list[int]
) -> None:
    reader = ResponseReader(MAX_HEAD, MAX_BODY)
    reader.begin(Exchange(), is_head_request=False)
    for packet in cut(data, at):
        reader.feed(packet)
    if reader.progress is not Progress.DONE or not reader.reusable:
        return
    reader.forget()
    exchange = Exchange()
    reader.begin(exchange, is_head_request=False)
    assert reader.feed(FRESH) is Progress.DONE
    assert exchange.response_body == b"ok"
    assert exchange.status_code == 200

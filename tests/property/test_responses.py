"""However a response is cut into packets, and whatever it holds, it is read the same way."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from delivery.http.response import Progress, ResponseReader
from delivery.models import Exchange

MAX_HEAD = 300
MAX_BODY = 100

pieces = st.sampled_from(
    [
        b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 100 Continue\r\n", b"HTTP/1.1 204 No\r\n",
        b"HTTP/1.1 101 Switch\r\n", b"HTTP/1.0 500 No\r\n", b"HTTP/1.1 200 OK\n",
        b"Content-Length: 5\r\n", b"Content-Length: 0\r\n", b"Content-Length: 500\r\n",
        b"Transfer-Encoding: chunked\r\n", b"Connection: close\r\n", b"Content-Encoding: gzip\r\n",
        b"Upgrade: x\r\nConnection: upgrade\r\n", b" folded\r\n", b"X:\n", b"\r\n", b"\n", b"\r",
        b"5\r\nhello\r\n", b"0\r\n", b"0\r\n\r\n", b"hello", b"x" * 120, b"Y: " + b"y" * 120,
    ]
)  # fmt: skip
odd = st.lists(st.one_of(pieces, st.binary(max_size=8)), max_size=14).map(b"".join)
proper = st.builds(
    lambda informational, headers, body: b"".join(
        [
            b"HTTP/1.1 103 Hints\r\nX: y\r\n\r\n" * informational,
            b"HTTP/1.1 200 OK\r\n",
            *headers,
            b"Content-Length: %d\r\n\r\n" % len(body),
            body,
        ]
    ),
    st.integers(0, 2),
    st.lists(st.just(b"X-A: b\r\n"), max_size=3),
    st.binary(max_size=60),
)


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


@given(odd, st.booleans())
def test_no_bytes_make_the_reader_raise_or_keep_more_than_it_may(
    data: bytes,
    is_head_request: bool,  # noqa: FBT001
) -> None:
    exchange, progress, _ = read([data] if data else [], is_head_request=is_head_request)
    assert progress is not Progress.READING
    assert len(exchange.response_head) <= MAX_HEAD
    assert len(exchange.response_body) <= MAX_BODY
    assert (exchange.error is not None) == (progress is Progress.FAILED)
    if progress is not Progress.FAILED:
        assert exchange.status_code is not None
        assert exchange.response_head.startswith(b"HTTP/1.")
    assert b"\n\n" not in exchange.response_head
    assert b"\r\n\r\n" not in exchange.response_head


@given(odd, st.lists(st.integers(0, 2000), max_size=8))
def test_packets_do_not_change_what_is_read(data: bytes, at: list[int]) -> None:
    if not data:
        return
    whole, whole_progress, _ = read([data])
    parts, parts_progress, _ = read(cut(data, at))
    assert parts_progress == whole_progress
    assert parts.status_code == whole.status_code
    assert parts.response_head == whole.response_head
    assert parts.response_body == whole.response_body
    assert parts.truncated == whole.truncated


@given(proper, st.lists(st.integers(0, 2000), max_size=8))
def test_a_proper_response_is_whole_and_the_connection_can_be_used_again(
    data: bytes, at: list[int]
) -> None:
    exchange, progress, reusable = read(cut(data, at))
    assert progress is Progress.DONE
    assert reusable
    assert exchange.status_code == 200
    assert data.endswith(exchange.response_head + b"\r\n\r\n" + exchange.response_body)
    assert not exchange.truncated

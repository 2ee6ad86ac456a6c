"""Chunks: sizes, extensions, line ends and trailers."""

from __future__ import annotations

from typing import Final

from tests.http.odd_servers.script import CHUNKED, LAST, Failure, OddServer, Response, Step

__all__ = ["SERVERS"]

_NOT_HTTP: Final = Failure("the response is not HTTP/1.1")
_CUT: Final = Failure("the connection was closed before the whole body had arrived")
_TWO: Final = b"2\r\nok\r\n"
_LINE_FEED: Final = "a bare LF ends a line, as in headers"

_EXTENDED: Final = (
    OddServer("in pieces", (CHUNKED + b"1\r\no\r\n", b"1\r", b"\nk\r\n", LAST), reused=True),
    OddServer("extensions", (CHUNKED + b'2;a=b;c="d;e"\r\nok\r\n0;f\r\n\r\n',), reused=True),
    OddServer(
        "extension of 10 KB", (CHUNKED + b"2;" + b"x" * 10_000 + b"\r\nok\r\n" + LAST,), reused=True
    ),
    OddServer(
        "extension of 400 KB",
        (CHUNKED + b"2;" + b"x" * 400_000 + b"\r\nok\r\n" + LAST,),
        Response(200, b"", truncated=True),
        httpx=Failure(),
        reason="limit of the framing; the status is known",
    ),
    OddServer(
        "control characters in an extension",
        (CHUNKED + b"2;\x01\x02=\r\nok\r\n" + LAST,),
        _NOT_HTTP,
        httpx=Response(),
        reason="they are forbidden there (RFC 9112, section 7.1.1)",
    ),
    OddServer("space before an extension", (CHUNKED + b"2 ; a\r\nok\r\n" + LAST,), _NOT_HTTP),
    OddServer("spaces after a size", (CHUNKED + b"2  \r\nok\r\n" + LAST,), reused=True),
    OddServer("space before a size", (CHUNKED + b" 2\r\nok\r\n" + LAST,), _NOT_HTTP),
    OddServer(
        "LF after an extension",
        (CHUNKED + b"2;a\nok\r\n" + LAST,),
        httpx=Failure(),
        reason=_LINE_FEED,
        reused=True,
    ),
    OddServer(
        "LF after a chunk",
        (CHUNKED + b"2\r\nok\n" + LAST,),
        httpx=Failure(),
        reason=_LINE_FEED,
        reused=True,
    ),
    OddServer("LF without any CR", (CHUNKED + b"2\nok\n0\n\n", Step.CLOSE), _NOT_HTTP),
)

_TRAILED: Final = (
    OddServer("trailers", (CHUNKED + _TWO + b"0\r\nX: y\r\nZ: \xff\r\n\r\n",), reused=True),
    OddServer(
        "500 KB of trailers",
        (CHUNKED + _TWO + b"0\r\n" + b"X: y\r\n" * 80_000 + b"\r\n",),
        Response(truncated=True),
        reason="limit of the framing; the body is complete",
        httpx=Failure(),
    ),
    OddServer(
        "a length among the trailers",
        (CHUNKED + _TWO + b"0\r\nContent-Length: 7\r\n\r\n",),
        _NOT_HTTP,
        httpx=Response(),
        reason="it is forbidden (RFC 9110, section 6.5.1) and used for response smuggling",
    ),
    OddServer("invalid trailers", (CHUNKED + _TWO + b"0\r\nnonsense\r\n\r\n",), _NOT_HTTP),
    OddServer("trailers cut", (CHUNKED + _TWO + b"0\r\nX: y\r\n", Step.CLOSE), _CUT),
    OddServer("last empty line missing", (CHUNKED + _TWO + b"0\r\n", Step.CLOSE), _CUT),
    OddServer("last chunk missing", (CHUNKED + _TWO, Step.CLOSE), _CUT),
    OddServer("last chunk missing, half-closed", (CHUNKED + _TWO, Step.HALF_CLOSE), _CUT),
    OddServer("last chunk missing, reset", (CHUNKED + _TWO, Step.RESET), _CUT),
    OddServer(
        "last chunk missing, and no end",
        (CHUNKED + _TWO, Step.GONE),
        Failure("the timeout of 1 s expired while reading the response's body"),
        timeout=1.0,
    ),
    OddServer(
        "last chunk missing with HTTP/1.0",
        (CHUNKED.replace(b"1.1", b"1.0") + _TWO, Step.CLOSE),
        _CUT,
    ),
    OddServer("cut in a chunk", (CHUNKED + b"5\r\nok", Step.CLOSE), _CUT),
    OddServer("cut in a size", (CHUNKED + b"2", Step.CLOSE), _CUT),
    OddServer("cut before the first chunk", (CHUNKED, Step.CLOSE), _CUT),
    OddServer("junk after the last chunk", (CHUNKED + _TWO + LAST + b"more",)),
)

_SIZED: Final = (
    OddServer(
        "2 after an overflow",
        (CHUNKED + b"10000000000000002\r\nok\r\n" + LAST,),
        _NOT_HTTP,
        timeout=1.0,
    ),
    OddServer("18 digits", (CHUNKED + b"f" * 18 + b"\r\nok\r\n" + LAST, Step.CLOSE), _NOT_HTTP),
    OddServer("2**64 - 1", (CHUNKED + b"f" * 16 + b"\r\nok\r\n" + LAST, Step.CLOSE), _CUT),
    OddServer("2**63", (CHUNKED + b"8000000000000000\r\nok\r\n" + LAST, Step.CLOSE), _CUT),
    OddServer("zeros before", (CHUNKED + b"0" * 10 + _TWO + LAST,), reused=True),
    OddServer(
        "40 zeros before",
        (CHUNKED + b"0" * 40 + _TWO + LAST,),
        httpx=Failure(),
        reason="leading zeros do not change the number",
        reused=True,
    ),
    OddServer("negative", (CHUNKED + b"-2\r\nok\r\n" + LAST,), _NOT_HTTP),
    OddServer("0x2", (CHUNKED + b"0x2\r\nok\r\n" + LAST,), _NOT_HTTP),
    OddServer("empty", (CHUNKED + b"\r\nok\r\n" + LAST,), _NOT_HTTP),
    OddServer("an extension without a size", (CHUNKED + b";a\r\nok\r\n" + LAST,), _NOT_HTTP),
    OddServer("not hexadecimal", (CHUNKED + b"xyz\r\nok\r\n" + LAST,), _NOT_HTTP),
    OddServer("not chunked", (CHUNKED + b"ok", Step.CLOSE), _NOT_HTTP),
    OddServer("too small", (CHUNKED + b"2\r\nokay\r\n" + LAST,), _NOT_HTTP),
    OddServer("too small by the line's end", (CHUNKED + b"2\r\nok" + LAST,), _NOT_HTTP),
)

SERVERS: Final = _EXTENDED + _TRAILED + _SIZED

"""Header lines: folded, long, with odd characters and line ends."""

from __future__ import annotations

from typing import Final

from tests.http.odd_servers.script import END, OK, Failure, OddServer, Response, Step

__all__ = ["SERVERS"]

_NOT_HTTP: Final = Failure("the response is not HTTP/1.1")
_TOO_LONG: Final = Failure("the response's headers are longer than 65536 bytes")
_CAP: Final = "limit of all headers, 64 KiB by default; about 100 KB in httpx"
_CLOSED: Final = Failure("the connection was closed in the middle of the headers")
_CUT: Final = Failure("the connection was closed before the whole body had arrived")

_FOLDED: Final = (
    OddServer("folded", (OK + b"X: a\r\n  b\r\n\tc\r\n" + END,), reused=True),
    OddServer("folded, with nothing on the first line", (OK + b"X:\r\n b\r\n" + END,), reused=True),
    OddServer("folded into nothing", (OK + b"X: a\r\n \r\nY: b\r\n" + END,), reused=True),
    OddServer("folded length", (OK + b"Content-Length:\r\n 2\r\n\r\nok",), reused=True),
    OddServer("length with a second fold", (OK + b"Content-Length: 2\r\n 2\r\n\r\nok",), _NOT_HTTP),
    OddServer(
        "folded chunked",
        (OK + b"Transfer-Encoding:\r\n chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",),
        reused=True,
    ),
    OddServer(
        "folded chunked, and the last chunk missing",
        (OK + b"Transfer-Encoding:\r\n chunked\r\n\r\n2\r\nok\r\n", Step.CLOSE),
        _CUT,
    ),
    OddServer("a length in a fold", (OK + b"X: a\r\n Content-Length: 200\r\n" + END,), reused=True),
    OddServer("folded before the first header", (OK + b" X: a\r\n" + END,), _NOT_HTTP),
    OddServer("a blank line with a space", (OK + b" \r\n" + END,), _NOT_HTTP),
)

_LARGE: Final = (
    OddServer("60 KB in one header", (OK + b"X: " + b"x" * 60_000 + b"\r\n" + END,), reused=True),
    OddServer(
        "5,000 headers",
        (OK + b"".join(b"X-%d: y\r\n" % n for n in range(5000)) + END,),
        reused=True,
    ),
    OddServer("5,000 times the same header", (OK + b"X: y\r\n" * 5000 + END,), reused=True),
    OddServer(
        "70 KB in one header",
        (OK + b"X: " + b"x" * 70_000 + b"\r\n" + END,),
        _TOO_LONG,
        httpx=Response(),
        reason=_CAP,
    ),
    OddServer(
        "100 KB in one header",
        (OK + b"X: " + b"x" * 100_000 + b"\r\n" + END,),
        _TOO_LONG,
        httpx=Response(),
        reason=_CAP,
    ),
    OddServer(
        "10,000 headers",
        (OK + b"".join(b"X-%d: y\r\n" % n for n in range(10_000)) + END,),
        _TOO_LONG,
        httpx=Response(),
        reason=_CAP,
    ),
    OddServer("300 KB in one header", (OK + b"X: " + b"x" * 300_000,), _TOO_LONG),
)

_CHARACTERS: Final = (
    OddServer("UTF-8", (OK + "X: é€\r\n".encode() + END,), reused=True),
    OddServer("Latin-1", (OK + b"X: \xe9\xff\r\n" + END,), reused=True),
    OddServer("name not in ASCII", (OK + "Xé: y\r\n".encode() + END,), _NOT_HTTP),
    OddServer(
        "NUL in a value",
        (OK + b"X: a\x00b\r\n" + END,),
        httpx=Failure(),
        reason="the response is usable; the head is stored as bytes",
        reused=True,
    ),
    OddServer("NUL in a name", (OK + b"X\x00: b\r\n" + END,), _NOT_HTTP),
    OddServer("control characters in a value", (OK + b"X: a\x01\x7fb\r\n" + END,), reused=True),
    OddServer("bare CR in a value", (OK + b"X: a\rb\r\n" + END,), _NOT_HTTP),
    OddServer("bare CR at the end", (OK + b"X: a\rContent-Length: 2\r\n\r\nok",), _NOT_HTTP),
    OddServer("space in a name", (OK + b"X Y: a\r\n" + END,), _NOT_HTTP),
    OddServer("brackets in a name", (OK + b"X(): a\r\n" + END,), _NOT_HTTP),
    OddServer("empty name", (OK + b": a\r\n" + END,), _NOT_HTTP),
    OddServer("no colon", (OK + b"nonsense\r\n" + END,), _NOT_HTTP),
    OddServer("encoded line break", (OK + b"X: a%0d%0aY: b\r\n" + END,), reused=True),
)

_SPACES: Final = (
    OddServer("empty values", (OK + b"X:\r\nY:  \t \r\n" + END,), reused=True),
    OddServer("no space after the colon", (OK + b"X:a:b: c\r\n" + END,), reused=True),
    OddServer("spaces around a value", (OK + b"X: \t a  \t\r\n" + END,), reused=True),
    OddServer("space before the colon", (OK + b"X : a\r\n" + END,), _NOT_HTTP),
    OddServer("tab before a length's colon", (OK + b"Content-Length\t: 2\r\n\r\nok",), _NOT_HTTP),
    OddServer(
        "space before a length's colon",
        (OK + b"Content-Length : 2\r\n\r\nok",),
        httpx=Failure(),
        reason="the meaning is clear, and the length is enforced",
        reused=True,
    ),
    OddServer(
        "space before a length's colon, and a body that is cut",
        (OK + b"Content-Length : 5\r\n\r\nok", Step.CLOSE),
        _CUT,
    ),
    OddServer(
        "space before the colon of chunked, and a length",
        (OK + b"Transfer-Encoding : chunked\r\n" + END,),
        _NOT_HTTP,
    ),
)

_ENDS: Final = (
    OddServer("bare LF", (b"HTTP/1.1 200 OK\nX: a\nContent-Length: 2\n\nok",), reused=True),
    OddServer("bare LF in some lines", (OK + b"X: a\nContent-Length: 2\r\n\nok",), reused=True),
    OddServer("bare LF before the empty line", (OK + b"Content-Length: 2\n\r\nok",), reused=True),
    OddServer("header twice", (OK + b"Set-Cookie: a=b\r\nset-cookie: c=d\r\n" + END,), reused=True),
    OddServer("mixed case", (OK + b"cOnTeNt-LeNgTh: 2\r\n\r\nok",), reused=True),
    OddServer("no headers", (OK + b"\r\nok", Step.CLOSE)),
    OddServer("closed within a header", (OK + b"X: a\r\nY: ", Step.CLOSE), _CLOSED),
    OddServer("closed between headers", (OK + b"X: a\r\n", Step.CLOSE), _CLOSED),
    OddServer("closed within the empty line", (OK + b"X: a\r\n\r", Step.CLOSE), _CLOSED),
    OddServer("reset within a header", (OK + b"X: ", Step.RESET), _CLOSED),
)

SERVERS: Final = _FOLDED + _LARGE + _CHARACTERS + _SPACES + _ENDS

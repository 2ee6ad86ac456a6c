"""Header lines: folded, endless, in odd characters, with odd ends."""

from __future__ import annotations

from typing import Final

from tests.http.odd_servers.script import END, OK, Failure, OddServer, Response, Step

__all__ = ["SERVERS"]

_NOT_HTTP: Final = Failure("the response is not HTTP/1.1")
_TOO_LONG: Final = Failure("the response's headers are longer than 65536 bytes")
_CAP: Final = "the cap, 64 KiB for all headers by default; httpx takes about 100 KB"
_CLOSED: Final = Failure("the connection was closed in the middle of the headers")
_CUT: Final = Failure("the connection was closed before the whole body had arrived")

_FOLDED: Final = (
    OddServer("folded", (OK + b"X: a\r\n  b\r\n\tc\r\n" + END,), kept=True),
    OddServer("folded, with nothing on the first line", (OK + b"X:\r\n b\r\n" + END,), kept=True),
    OddServer("folded into nothing", (OK + b"X: a\r\n \r\nY: b\r\n" + END,), kept=True),
    OddServer("folded length", (OK + b"Content-Length:\r\n 2\r\n\r\nok",), kept=True),
    OddServer("length with a second fold", (OK + b"Content-Length: 2\r\n 2\r\n\r\nok",), _NOT_HTTP),
    OddServer(
        "folded chunked",
        (OK + b"Transfer-Encoding:\r\n chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",),
        kept=True,
    ),
    OddServer(
        "folded chunked, and the last chunk missing",
        (OK + b"Transfer-Encoding:\r\n chunked\r\n\r\n2\r\nok\r\n", Step.CLOSE),
        _CUT,
    ),
    OddServer("a length in a fold", (OK + b"X: a\r\n Content-Length: 200\r\n" + END,), kept=True),
    OddServer("folded before the first header", (OK + b" X: a\r\n" + END,), _NOT_HTTP),
    OddServer("an empty line with a space in it", (OK + b" \r\n" + END,), _NOT_HTTP),
)

_LARGE: Final = (
    OddServer("60 KB in one header", (OK + b"X: " + b"x" * 60_000 + b"\r\n" + END,), kept=True),
    OddServer(
        "5,000 headers", (OK + b"".join(b"X-%d: y\r\n" % n for n in range(5000)) + END,), kept=True
    ),
    OddServer("5,000 times the same header", (OK + b"X: y\r\n" * 5000 + END,), kept=True),
    OddServer(
        "70 KB in one header",
        (OK + b"X: " + b"x" * 70_000 + b"\r\n" + END,),
        _TOO_LONG,
        httpx=Response(),
        because=_CAP,
    ),
    OddServer(
        "100 KB in one header",
        (OK + b"X: " + b"x" * 100_000 + b"\r\n" + END,),
        _TOO_LONG,
        httpx=Response(),
        because=_CAP,
    ),
    OddServer(
        "10,000 headers",
        (OK + b"".join(b"X-%d: y\r\n" % n for n in range(10_000)) + END,),
        _TOO_LONG,
        httpx=Response(),
        because=_CAP,
    ),
    OddServer("300 KB in one header", (OK + b"X: " + b"x" * 300_000,), _TOO_LONG),
)

_CHARACTERS: Final = (
    OddServer("UTF-8", (OK + "X: é€\r\n".encode() + END,), kept=True),
    OddServer("Latin-1", (OK + b"X: \xe9\xff\r\n" + END,), kept=True),
    OddServer("name not in ASCII", (OK + "Xé: y\r\n".encode() + END,), _NOT_HTTP),
    OddServer(
        "NUL in a value",
        (OK + b"X: a\x00b\r\n" + END,),
        httpx=Failure(),
        because="the answer is no less an answer; the head is stored as bytes",
        kept=True,
    ),
    OddServer("NUL in a name", (OK + b"X\x00: b\r\n" + END,), _NOT_HTTP),
    OddServer("control characters in a value", (OK + b"X: a\x01\x7fb\r\n" + END,), kept=True),
    OddServer("bare CR in a value", (OK + b"X: a\rb\r\n" + END,), _NOT_HTTP),
    OddServer("bare CR at the end", (OK + b"X: a\rContent-Length: 2\r\n\r\nok",), _NOT_HTTP),
    OddServer("space in a name", (OK + b"X Y: a\r\n" + END,), _NOT_HTTP),
    OddServer("brackets in a name", (OK + b"X(): a\r\n" + END,), _NOT_HTTP),
    OddServer("empty name", (OK + b": a\r\n" + END,), _NOT_HTTP),
    OddServer("no colon", (OK + b"nonsense\r\n" + END,), _NOT_HTTP),
    OddServer("encoded line break", (OK + b"X: a%0d%0aY: b\r\n" + END,), kept=True),
)

_SPACES: Final = (
    OddServer("empty values", (OK + b"X:\r\nY:  \t \r\n" + END,), kept=True),
    OddServer("no space behind the colon", (OK + b"X:a:b: c\r\n" + END,), kept=True),
    OddServer("spaces around a value", (OK + b"X: \t a  \t\r\n" + END,), kept=True),
    OddServer("space before the colon", (OK + b"X : a\r\n" + END,), _NOT_HTTP),
    OddServer("tab before a length's colon", (OK + b"Content-Length\t: 2\r\n\r\nok",), _NOT_HTTP),
    OddServer(
        "space before a length's colon",
        (OK + b"Content-Length : 2\r\n\r\nok",),
        httpx=Failure(),
        because="the parser knows what is meant, and holds the body to it",
        kept=True,
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
    OddServer("bare LF", (b"HTTP/1.1 200 OK\nX: a\nContent-Length: 2\n\nok",), kept=True),
    OddServer("bare LF, now and then", (OK + b"X: a\nContent-Length: 2\r\n\nok",), kept=True),
    OddServer("bare LF before the empty line", (OK + b"Content-Length: 2\n\r\nok",), kept=True),
    OddServer("header twice", (OK + b"Set-Cookie: a=b\r\nset-cookie: c=d\r\n" + END,), kept=True),
    OddServer("letters of any case", (OK + b"cOnTeNt-LeNgTh: 2\r\n\r\nok",), kept=True),
    OddServer("no headers at all", (OK + b"\r\nok", Step.CLOSE)),
    OddServer("closed within a header", (OK + b"X: a\r\nY: ", Step.CLOSE), _CLOSED),
    OddServer("closed between headers", (OK + b"X: a\r\n", Step.CLOSE), _CLOSED),
    OddServer("closed within the empty line", (OK + b"X: a\r\n\r", Step.CLOSE), _CLOSED),
    OddServer("reset within a header", (OK + b"X: ", Step.RESET), _CLOSED),
)

SERVERS: Final = _FOLDED + _LARGE + _CHARACTERS + _SPACES + _ENDS

"""Status lines, versions, and informational responses before the answer."""

from __future__ import annotations

from typing import Final

from tests.http.odd_servers.script import END, OK, Failure, OddServer, Response, Step

__all__ = ["SERVERS"]

_SAME: Final = OK + END
_NOT_HTTP: Final = Failure("the response is not HTTP/1.1")
_AN_ANSWER: Final = "101 is an answer, though to a question that was not put; it is shown as one"

_INFORMATIONAL: Final = (
    OddServer("100 before the answer", (b"HTTP/1.1 100 Continue\r\n\r\n" + _SAME,), kept=True),
    OddServer(
        "103 in a packet of its own",
        (b"HTTP/1.1 103 Hints\r\nLink: </x>\r\n\r\n", _SAME),
        kept=True,
    ),
    OddServer(
        "102, 100 and 103",
        (b"HTTP/1.1 102 P\r\n\r\n", b"HTTP/1.1 100 C\r\n\r\nHTTP/1.1 103 H\r\nA: b\r\n\r\n", _SAME),
        kept=True,
    ),
    OddServer("199, which nobody knows", (b"HTTP/1.1 199 What\r\n\r\n" + _SAME,), kept=True),
    OddServer(
        "100 with a length, which it cannot have",
        (b"HTTP/1.1 100 Continue\r\nContent-Length: 5\r\n\r\n" + _SAME,),
        kept=True,
    ),
    OddServer(
        "100 with chunks, which it cannot have",
        (b"HTTP/1.1 100 Continue\r\nTransfer-Encoding: chunked\r\n\r\n" + _SAME,),
        kept=True,
    ),
    OddServer(
        "100 that says close, in one packet with the answer",
        (b"HTTP/1.1 100 Continue\r\nConnection: close\r\n\r\n" + _SAME,),
    ),
    OddServer(
        "100 that says close, in a packet of its own",
        (b"HTTP/1.1 100 Continue\r\nConnection: close\r\n\r\n", _SAME),
    ),
    OddServer("100 of HTTP/1.0", (b"HTTP/1.0 100 Continue\r\n\r\n" + _SAME,)),
    OddServer(
        "100 with two lengths that differ",
        (b"HTTP/1.1 100 Continue\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n" + _SAME,),
        _NOT_HTTP,
    ),
    OddServer(
        "100, and then the end",
        (b"HTTP/1.1 100 Continue\r\n\r\n", Step.CLOSE),
        Failure("closed in the middle of the headers"),
    ),
    OddServer(
        "100, and then nothing",
        (b"HTTP/1.1 100 Continue\r\n\r\n", Step.GONE),
        Failure("the timeout of 0.2 s expired while reading the response's headers"),
        timeout=0.2,
    ),
    OddServer(
        "101 to another protocol",
        (
            b"HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n",
            b"\x81\x05hello",
        ),
        Response(101, b""),
        httpx=Failure(),
        because=_AN_ANSWER,
    ),
    OddServer(
        "101 without a protocol, and an answer behind it",
        (b"HTTP/1.1 101 Switching\r\n\r\n" + _SAME,),
        Response(101, b""),
        httpx=Failure(),
        because=_AN_ANSWER,
    ),
    OddServer(
        "101 to HEAD",
        (b"HTTP/1.1 101 Switching\r\nUpgrade: h2c\r\nConnection: upgrade\r\n\r\n" + _SAME,),
        Response(101, b""),
        httpx=Failure(),
        because=_AN_ANSWER,
        method="HEAD",
        body=b"",
    ),
    OddServer(
        "200 that offers another protocol",
        (OK + b"Upgrade: h2c\r\nConnection: upgrade\r\n" + END,),
        kept=True,
    ),
    OddServer(
        "426",
        (b"HTTP/1.1 426 Upgrade\r\nUpgrade: h2c\r\nConnection: upgrade\r\n" + END,),
        Response(426),
        kept=True,
    ),
)

_REASONS: Final = (
    OddServer("empty reason", (b"HTTP/1.1 200 \r\n" + END,), kept=True),
    OddServer("neither reason nor space", (b"HTTP/1.1 200\r\n" + END,), kept=True),
    OddServer("reason not in ASCII", (b"HTTP/1.1 200 Tr\xc3\xa8s \xff\r\n" + END,), kept=True),
    OddServer("control character in the reason", (b"HTTP/1.1 200 O\x01K\r\n" + END,), kept=True),
    OddServer(
        "NUL in the reason",
        (b"HTTP/1.1 200 O\x00K\r\n" + END,),
        httpx=Failure(),
        because="nobody reads the reason; it is stored as it came",
        kept=True,
    ),
    OddServer("bare CR in the reason", (b"HTTP/1.1 200 O\rK\r\n" + END,), _NOT_HTTP),
    OddServer("reason of 30 KB", (b"HTTP/1.1 200 " + b"x" * 30_000 + b"\r\n" + END,), kept=True),
)

_VERSIONS: Final = (
    OddServer("HTTP/1.0", (b"HTTP/1.0 200 OK\r\n" + END,)),
    OddServer(
        "HTTP/1.0, kept alive", (b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n" + END,), kept=True
    ),
    OddServer("HTTP/1.0 without a length", (b"HTTP/1.0 200 OK\r\n\r\nok", Step.CLOSE)),
    OddServer(
        "HTTP/1.0 without a length, said to be kept alive",
        (b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n\r\nok", Step.CLOSE),
    ),
    OddServer(
        "HTTP/1.0 in chunks, which it does not know",
        (b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",),
    ),
    OddServer("HTTP/1.2", (b"HTTP/1.2 200 OK\r\n" + END,), kept=True),
    OddServer("HTTP/2.0 in words", (b"HTTP/2.0 200 OK\r\n" + END,), kept=False),
    OddServer("HTTP/0.9 in words", (b"HTTP/0.9 200 OK\r\n" + END,)),
    OddServer("HTTP/0.9, a body and nothing else", (b"ok", Step.CLOSE), _NOT_HTTP),
    OddServer("HTTP/2 without a minor version", (b"HTTP/2 200 OK\r\n" + END,), _NOT_HTTP),
    OddServer("HTTP/11.1", (b"HTTP/11.1 200 OK\r\n" + END,), _NOT_HTTP),
    OddServer("http in small letters", (b"http/1.1 200 OK\r\n" + END,), _NOT_HTTP),
    OddServer("ICY, as radio stations say", (b"ICY 200 OK\r\n" + END,), _NOT_HTTP),
    OddServer("frames of HTTP/2", (b"\x00\x00\x06\x04\x00\x00\x00\x00\x00" + bytes(6),), _NOT_HTTP),
    OddServer("an alert of TLS", (b"\x15\x03\x01\x00\x02\x02\x46", Step.CLOSE), _NOT_HTTP),
    OddServer("mail", (b"220 mail.example ESMTP\r\n", Step.CLOSE), _NOT_HTTP),
)

_STATUSES: Final = (
    OddServer("status of two digits", (b"HTTP/1.1 20 OK\r\n" + END,), _NOT_HTTP),
    OddServer("status of four digits", (b"HTTP/1.1 2000 OK\r\n" + END,), _NOT_HTTP),
    OddServer("status 000", (b"HTTP/1.1 000 OK\r\n" + END,), _NOT_HTTP),
    OddServer("status 099", (b"HTTP/1.1 099 OK\r\n" + END,), _NOT_HTTP),
    OddServer("status 999", (b"HTTP/1.1 999 OK\r\n" + END,), Response(999), kept=True),
    OddServer("negative status", (b"HTTP/1.1 -200 OK\r\n" + END,), _NOT_HTTP),
    OddServer("status in letters", (b"HTTP/1.1 abc OK\r\n" + END,), _NOT_HTTP),
    OddServer("two spaces before the status", (b"HTTP/1.1  200 OK\r\n" + END,), _NOT_HTTP),
    OddServer("tab before the status", (b"HTTP/1.1\t200 OK\r\n" + END,), _NOT_HTTP),
    OddServer("space before the status line", (b" HTTP/1.1 200 OK\r\n" + END,), _NOT_HTTP),
    OddServer("status line twice", (OK + OK + END,), _NOT_HTTP),
    OddServer("byte order mark", (b"\xef\xbb\xbf" + _SAME,), _NOT_HTTP),
    OddServer(
        "empty lines before the status line",
        (b"\r\n\n\r\n" + _SAME,),
        httpx=Failure(),
        because="they mean nothing, and some servers end the body before with one",
        kept=True,
    ),
    OddServer("byte by byte", tuple(bytes([byte]) for byte in _SAME), kept=True),
)

SERVERS: Final = _INFORMATIONAL + _REASONS + _VERSIONS + _STATUSES

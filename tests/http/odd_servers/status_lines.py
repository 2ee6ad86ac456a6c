"""Status lines, versions and informational responses."""

from __future__ import annotations

from typing import Final

from tests.http.odd_servers.script import END, OK, Failure, OddServer, Response, Step

__all__ = ["SERVERS"]

_SAME: Final = OK + END
_NOT_HTTP: Final = Failure("the response is not HTTP/1.1")
_IS_A_RESPONSE: Final = "101 is a response, although no upgrade was requested"

_INFORMATIONAL: Final = (
    OddServer("100 before the response", (b"HTTP/1.1 100 Continue\r\n\r\n" + _SAME,), reused=True),
    OddServer(
        "103 in a separate packet",
        (b"HTTP/1.1 103 Hints\r\nLink: </x>\r\n\r\n", _SAME),
        reused=True,
    ),
    OddServer(
        "102, 100 and 103",
        (b"HTTP/1.1 102 P\r\n\r\n", b"HTTP/1.1 100 C\r\n\r\nHTTP/1.1 103 H\r\nA: b\r\n\r\n", _SAME),
        reused=True,
    ),
    OddServer("199, which is unknown", (b"HTTP/1.1 199 What\r\n\r\n" + _SAME,), reused=True),
    OddServer(
        "100 with a forbidden length",
        (b"HTTP/1.1 100 Continue\r\nContent-Length: 5\r\n\r\n" + _SAME,),
        reused=True,
    ),
    OddServer(
        "100 with forbidden chunks",
        (b"HTTP/1.1 100 Continue\r\nTransfer-Encoding: chunked\r\n\r\n" + _SAME,),
        reused=True,
    ),
    OddServer(
        "100 that announces close, in one packet with the response",
        (b"HTTP/1.1 100 Continue\r\nConnection: close\r\n\r\n" + _SAME,),
    ),
    OddServer(
        "100 that announces close, in a separate packet",
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
        Failure("the timeout of 1 s expired while reading the response's headers"),
        timeout=1.0,
    ),
    OddServer(
        "101 to another protocol",
        (
            b"HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n",
            b"\x81\x05hello",
        ),
        Response(101, b""),
        httpx=Failure(),
        reason=_IS_A_RESPONSE,
    ),
    OddServer(
        "101 without a protocol, and a response after it",
        (b"HTTP/1.1 101 Switching\r\n\r\n" + _SAME,),
        Response(101, b""),
        httpx=Failure(),
        reason=_IS_A_RESPONSE,
    ),
    OddServer(
        "101 to HEAD",
        (b"HTTP/1.1 101 Switching\r\nUpgrade: h2c\r\nConnection: upgrade\r\n\r\n" + _SAME,),
        Response(101, b""),
        httpx=Failure(),
        reason=_IS_A_RESPONSE,
        method="HEAD",
        body=b"",
    ),
    OddServer(
        "200 that offers another protocol",
        (OK + b"Upgrade: h2c\r\nConnection: upgrade\r\n" + END,),
        reused=True,
    ),
    OddServer(
        "426",
        (b"HTTP/1.1 426 Upgrade\r\nUpgrade: h2c\r\nConnection: upgrade\r\n" + END,),
        Response(426),
        reused=True,
    ),
)

_REASONS: Final = (
    OddServer("empty reason", (b"HTTP/1.1 200 \r\n" + END,), reused=True),
    OddServer("neither reason nor space", (b"HTTP/1.1 200\r\n" + END,), reused=True),
    OddServer("reason not in ASCII", (b"HTTP/1.1 200 Tr\xc3\xa8s \xff\r\n" + END,), reused=True),
    OddServer("control character in the reason", (b"HTTP/1.1 200 O\x01K\r\n" + END,), reused=True),
    OddServer(
        "NUL in the reason",
        (b"HTTP/1.1 200 O\x00K\r\n" + END,),
        httpx=Failure(),
        reason="the reason is not used, and stored unchanged",
        reused=True,
    ),
    OddServer("bare CR in the reason", (b"HTTP/1.1 200 O\rK\r\n" + END,), _NOT_HTTP),
    OddServer("reason of 30 KB", (b"HTTP/1.1 200 " + b"x" * 30_000 + b"\r\n" + END,), reused=True),
)

_VERSIONS: Final = (
    OddServer("HTTP/1.0", (b"HTTP/1.0 200 OK\r\n" + END,)),
    OddServer(
        "HTTP/1.0 with keep-alive",
        (b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n" + END,),
        reused=True,
    ),
    OddServer("HTTP/1.0 without a length", (b"HTTP/1.0 200 OK\r\n\r\nok", Step.CLOSE)),
    OddServer(
        "HTTP/1.0 with keep-alive, without a length",
        (b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n\r\nok", Step.CLOSE),
    ),
    OddServer(
        "HTTP/1.0 with chunks",
        (b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",),
    ),
    OddServer("HTTP/1.2", (b"HTTP/1.2 200 OK\r\n" + END,), reused=True),
    OddServer("HTTP/2.0 as text", (b"HTTP/2.0 200 OK\r\n" + END,), reused=False),
    OddServer("HTTP/0.9 as text", (b"HTTP/0.9 200 OK\r\n" + END,)),
    OddServer("HTTP/0.9, only a body", (b"ok", Step.CLOSE), _NOT_HTTP),
    OddServer("HTTP/2 without a minor version", (b"HTTP/2 200 OK\r\n" + END,), _NOT_HTTP),
    OddServer("HTTP/11.1", (b"HTTP/11.1 200 OK\r\n" + END,), _NOT_HTTP),
    OddServer("http in lower case", (b"http/1.1 200 OK\r\n" + END,), _NOT_HTTP),
    OddServer("ICY, as in Shoutcast", (b"ICY 200 OK\r\n" + END,), _NOT_HTTP),
    OddServer("frames of HTTP/2", (b"\x00\x00\x06\x04\x00\x00\x00\x00\x00" + bytes(6),), _NOT_HTTP),
    OddServer("an alert of TLS", (b"\x15\x03\x01\x00\x02\x02\x46", Step.CLOSE), _NOT_HTTP),
    OddServer("mail", (b"220 mail.example ESMTP\r\n", Step.CLOSE), _NOT_HTTP),
)

_STATUSES: Final = (
    OddServer("status of two digits", (b"HTTP/1.1 20 OK\r\n" + END,), _NOT_HTTP),
    OddServer("status of four digits", (b"HTTP/1.1 2000 OK\r\n" + END,), _NOT_HTTP),
    OddServer("status 000", (b"HTTP/1.1 000 OK\r\n" + END,), _NOT_HTTP),
    OddServer("status 099", (b"HTTP/1.1 099 OK\r\n" + END,), _NOT_HTTP),
    OddServer("status 999", (b"HTTP/1.1 999 OK\r\n" + END,), Response(999), reused=True),
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
        reason="they have no meaning, and some servers send one after a body",
        reused=True,
    ),
    OddServer("byte by byte", tuple(bytes([byte]) for byte in _SAME), reused=True),
)

SERVERS: Final = _INFORMATIONAL + _REASONS + _VERSIONS + _STATUSES

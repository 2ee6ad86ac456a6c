"""Lengths of bodies: missing, wrong, repeated, absurd."""

from __future__ import annotations

from typing import Final

from tests.http.odd_servers.script import LAST, OK, Failure, OddServer, Response, Step

__all__ = ["SERVERS"]

_NOT_HTTP: Final = Failure("the response is not HTTP/1.1")
_CUT: Final = Failure("the connection was closed before the whole body had arrived")
_TWO: Final = b"2\r\nok\r\n"
_CODED: Final = "codings other than chunked are not decoded; the status decides"


def _length(value: bytes, rest: bytes = b"ok") -> bytes:
    return OK + b"Content-Length:" + value + b"\r\n\r\n" + rest


def _coding(value: bytes, rest: bytes) -> bytes:
    return OK + b"Transfer-Encoding:" + value + b"\r\n\r\n" + rest


_MISSING: Final = (
    OddServer("no length, closed", (OK + b"\r\nok", Step.CLOSE)),
    OddServer("no length, half-closed", (OK + b"\r\nok", Step.HALF_CLOSE)),
    OddServer(
        "no length, reset",
        (OK + b"\r\nok", Step.RESET),
        Failure("had arrived: Connection reset by peer"),
    ),
    OddServer(
        "no length, and no end",
        (OK + b"\r\nok", Step.GONE),
        Failure("the timeout of 1 s expired while reading the response's body"),
        timeout=1.0,
    ),
)

_WRONG: Final = (
    OddServer("too long, closed", (_length(b" 5"), Step.CLOSE), _CUT),
    OddServer("too long, half-closed", (_length(b" 5"), Step.HALF_CLOSE), _CUT),
    OddServer("too long, reset", (_length(b" 5"), Step.RESET), _CUT),
    OddServer(
        "too long, and no end",
        (_length(b" 5"), Step.GONE),
        Failure("the timeout of 1 s expired while reading the response's body"),
        timeout=1.0,
    ),
    OddServer("1 GB, closed", (_length(b" 1000000000"), Step.CLOSE), _CUT),
    OddServer("too short", (_length(b" 2", b"okay"),)),
    OddServer("zero, and a body", (_length(b" 0"),), Response(200, b"")),
)

_TWICE: Final = (
    OddServer(
        "the same twice",
        (_length(b" 2\r\nContent-Length: 2"),),
        other_headers=True,
        reason="the headers are returned as sent",
    ),
    OddServer(
        "the same twice, in two packets",
        (OK + b"Content-Length: 2\r\nContent-Length:", b" 2\r\nX: y\r\n\r\nok"),
        other_headers=True,
        reason="the headers are returned as sent",
    ),
    OddServer(
        "the same twice in one header",
        (_length(b" 2, 2"),),
        other_headers=True,
        reason="the headers are returned as sent",
    ),
    OddServer("the same twice, too long", (_length(b" 5\r\nContent-Length: 5"), Step.CLOSE), _CUT),
    OddServer("two that differ", (_length(b" 2\r\nContent-Length: 3", b"oka"),), _NOT_HTTP),
    OddServer("two that differ, in one header", (_length(b" 2, 3", b"oka"),), _NOT_HTTP),
    OddServer("a length, and chunks", (_length(b" 9\r\nTransfer-Encoding: chunked", _TWO + LAST),)),
    OddServer("chunks, and a length", (_coding(b" chunked\r\nContent-Length: 9", _TWO + LAST),)),
    OddServer(
        "chunks, and two lengths that differ",
        (_coding(b" chunked\r\nContent-Length: 9\r\nContent-Length: 2", _TWO + LAST),),
        httpx=Failure(),
        reason="chunks override any length (RFC 9112, section 6.3)",
    ),
    OddServer(
        "a length, and another coding",
        (_coding(b" identity\r\nContent-Length: 2", b"ok"),),
        _NOT_HTTP,
    ),
)

_ABSURD: Final = (
    OddServer("negative", (_length(b" -2"),), _NOT_HTTP),
    OddServer("with a plus", (_length(b" +2"),), _NOT_HTTP),
    OddServer("hexadecimal", (_length(b" 0x2"),), _NOT_HTTP),
    OddServer("empty", (_length(b""), Step.CLOSE), _NOT_HTTP),
    OddServer("in words", (_length(b" two"),), _NOT_HTTP),
    OddServer("two numbers", (_length(b" 2 3"),), _NOT_HTTP),
    OddServer("with a point", (_length(b" 2.0"),), _NOT_HTTP),
    OddServer("spaces around", (_length(b"\t 2 \t"),), reused=True),
    OddServer("some zeros before", (_length(b" 000000000000002"),), reused=True),
    OddServer(
        "30 zeros before",
        (_length(b" " + b"0" * 30 + b"2"),),
        httpx=Failure(),
        reason="leading zeros do not change the number",
        reused=True,
    ),
    OddServer("2**63", (_length(b" 9223372036854775808"), Step.CLOSE), _CUT),
    OddServer("2 after an overflow", (_length(b" 18446744073709551618"), Step.CLOSE), _NOT_HTTP),
    OddServer("30 digits", (_length(b" " + b"9" * 30), Step.CLOSE), _NOT_HTTP),
    OddServer(
        "30 digits, twice",
        (_length(b" %b\r\nContent-Length: %b" % (b"9" * 30, b"9" * 30)),),
        _NOT_HTTP,
    ),
)

_CODINGS: Final = (
    OddServer(
        "chunked twice",
        (_coding(b" chunked\r\nTransfer-Encoding: chunked", _TWO + LAST),),
        httpx=Failure(),
        reason="chunked twice means chunked",
        reused=True,
    ),
    OddServer(
        "gzip, chunked",
        (_coding(b" gzip, chunked", _TWO + LAST),),
        httpx=Failure(),
        reason=_CODED,
        reused=True,
    ),
    OddServer("gzip, chunked, cut", (_coding(b" gzip,\r\n chunked", _TWO), Step.CLOSE), _CUT),
    OddServer(
        "chunked, gzip",
        (_coding(b" chunked, gzip", b"ok"), Step.CLOSE),
        httpx=Failure(),
        reason="the body ends with the connection (RFC 9112, section 6.3)",
    ),
    OddServer(
        "identity",
        (_coding(b" identity", b"ok"), Step.CLOSE),
        httpx=Failure(),
        reason=_CODED,
    ),
    OddServer(
        "xchunked",
        (_coding(b" xchunked", b"ok"), Step.CLOSE),
        httpx=Failure(),
        reason=_CODED,
    ),
    OddServer("empty coding, and a length", (_coding(b"\r\nContent-Length: 2", b"ok"),), _NOT_HTTP),
    OddServer(
        "CHUNKED",
        (_coding(b"CHUNKED", _TWO + LAST),),
        other_headers=True,
        reason="httpx returns codings in lower case",
        reused=True,
    ),
)

SERVERS: Final = _MISSING + _WRONG + _TWICE + _ABSURD + _CODINGS

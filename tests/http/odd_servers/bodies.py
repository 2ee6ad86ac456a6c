"""Forbidden, compressed and mislabelled bodies."""

from __future__ import annotations

import gzip
import zlib
from typing import Final

from tests.http.odd_servers.script import END, OK, Failure, OddServer, Response, Step

__all__ = ["SERVERS"]

_CHUNKED: Final = b"Transfer-Encoding: chunked\r\n\r\n"
_GZIP: Final = gzip.compress(b"ok", mtime=0)
_TWICE: Final = gzip.compress(_GZIP, mtime=0)
_DAMAGED: Final = gzip.compress(b"ok" * 500, mtime=0)[:-8] + bytes(8)
_LIKE_A_RESPONSE: Final = b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n"
_UNCHANGED: Final = "a body that cannot be decompressed is stored unchanged; the status decides"
_LAYERS: Final = "only one coding is decompressed: nested codings multiply the size of bombs"


def _coded(coding: bytes, body: bytes) -> bytes:
    return b"%bContent-Encoding:%b\r\nContent-Length: %d\r\n\r\n%b" % (OK, coding, len(body), body)


def _status(line: bytes, rest: bytes) -> bytes:
    return b"HTTP/1.1 " + line + b"\r\n" + rest


def _head(name: str, *steps: bytes | Step) -> OddServer:
    return OddServer(name, steps, Response(200, b""), method="HEAD", body=b"")


_HEADS: Final = (
    _head("HEAD with a length", OK + b"Content-Length: 500\r\n\r\n"),
    _head("HEAD with chunks", OK + _CHUNKED),
    _head("HEAD with neither", OK + b"\r\n"),
    _head("HEAD with a body", OK + END),
    _head("HEAD with a body, later", OK + b"Content-Length: 2\r\n\r\n", b"ok"),
    _head("HEAD with gzip", OK + b"Content-Encoding: gzip\r\nContent-Length: 2\r\n\r\n"),
    _head("HEAD behind a 103", _status(b"103 Hints", b"\r\n") + OK + b"Content-Length: 2\r\n\r\n"),
)

_BODILESS: Final = (
    OddServer("204", (_status(b"204 None", b"\r\n"),), Response(204, b""), reused=True),
    OddServer(
        "204 of length 0",
        (_status(b"204 None", b"Content-Length: 0\r\n\r\n"),),
        Response(204, b""),
        reused=True,
    ),
    OddServer(
        "204 with a length",
        (_status(b"204 None", b"Content-Length: 2\r\n\r\n"),),
        Response(204, b""),
    ),
    OddServer("204 with a body", (_status(b"204 None", END),), Response(204, b"")),
    OddServer(
        "204 with a body, later",
        (_status(b"204 None", b"Content-Length: 2\r\n\r\n"), b"ok"),
        Response(204, b""),
    ),
    OddServer(
        "204 with chunks",
        (_status(b"204 None", _CHUNKED + b"2\r\nok\r\n0\r\n\r\n"),),
        Response(204, b""),
    ),
    OddServer(
        "204 with chunks, later", (_status(b"204 None", _CHUNKED), b"0\r\n\r\n"), Response(204, b"")
    ),
    OddServer(
        "204 with gzip",
        (_status(b"204 None", b"Content-Encoding: gzip\r\n\r\n"),),
        Response(204, b""),
        reused=True,
    ),
    OddServer("205 with a body", (_status(b"205 Reset", END),), Response(205), reused=True),
    OddServer(
        "304 with the length of a GET",
        (_status(b"304 Same", b"Content-Length: 2\r\n\r\n"),),
        Response(304, b""),
        reused=True,
    ),
    OddServer("304 with a body", (_status(b"304 Same", END),), Response(304, b"")),
    OddServer(
        "301", (_status(b"301 Moved", b"Location: /\r\n" + END),), Response(301), reused=True
    ),
    OddServer(
        "206",
        (_status(b"206 Part", b"Content-Range: bytes 0-1/5\r\n" + END),),
        Response(206),
        reused=True,
    ),
)

_COMPRESSED: Final = (
    OddServer("gzip", (_coded(b" gzip", _GZIP),), reused=True),
    OddServer("GZIP", (_coded(b"GZIP ", _GZIP),), reused=True),
    OddServer("gzip, folded", (_coded(b"\r\n gzip", _GZIP),), reused=True),
    OddServer("gzip, identity", (_coded(b" gzip, identity", _GZIP),), reused=True),
    OddServer(
        "gzip up to the end of the connection",
        (OK + b"Content-Encoding: gzip\r\n\r\n" + _GZIP, Step.CLOSE),
    ),
    OddServer(
        "gzip after bare LF", (_coded(b" gzip", _GZIP).replace(b"\r\n", b"\n", 4),), reused=True
    ),
    OddServer(
        "gzip of nothing",
        (_coded(b" gzip", gzip.compress(b"", mtime=0)),),
        Response(200, b""),
        reused=True,
    ),
    OddServer("gzip with an empty body", (_coded(b" gzip", b""),), Response(200, b""), reused=True),
    OddServer("two gzip members", (_coded(b" gzip", _GZIP + _GZIP),), reused=True),
    OddServer("junk after gzip", (_coded(b" gzip", _GZIP + b"junk"),), reused=True),
    OddServer("gzip without its end", (_coded(b" gzip", _GZIP[:-6]),), reused=True),
    OddServer(
        "gzip with an incomplete header",
        (_coded(b" gzip", _GZIP[:5]),),
        Response(200, b""),
        reused=True,
    ),
    OddServer("deflate", (_coded(b" deflate", zlib.compress(b"ok")),), reused=True),
    OddServer("deflate, raw", (_coded(b" deflate", zlib.compress(b"ok")[2:-4]),), reused=True),
    OddServer("identity", (_coded(b" identity", b"ok"),), reused=True),
    OddServer("no coding", (_coded(b"", b"ok"),), reused=True),
    OddServer("unknown coding", (_coded(b" rot13", b"bx"),), Response(200, b"bx"), reused=True),
    OddServer(
        "br",
        (_coded(b" br", b"\x0b\x00\x80ok\x03"),),
        Response(200, b"\x0b\x00\x80ok\x03"),
        reused=True,
    ),
    OddServer("br, wrong", (_coded(b" br", b"ok"),), reused=True),
    OddServer(
        "zstd",
        (_coded(b" zstd", b"\x28\xb5\x2f\xfd\x20\x02\x11\x00\x00ok"),),
        Response(200, b"\x28\xb5\x2f\xfd\x20\x02\x11\x00\x00ok"),
        reused=True,
    ),
    OddServer("zstd, wrong", (_coded(b" zstd", b"ok"),), reused=True),
)

_DIFFERENT: Final = (
    OddServer(
        "x-gzip",
        (_coded(b" x-gzip", _GZIP),),
        httpx=Response(200, _GZIP),
        reason="old name of gzip (RFC 9110, section 8.4.1.3)",
        reused=True,
    ),
    OddServer(
        "gzip, wrong", (_coded(b" gzip", b"ok"),), httpx=Failure(), reason=_UNCHANGED, reused=True
    ),
    OddServer(
        "gzip with a wrong checksum",
        (_coded(b" gzip", _DAMAGED),),
        Response(200, _DAMAGED),
        httpx=Failure(),
        reason=_UNCHANGED,
        reused=True,
    ),
    OddServer(
        "gzip that is deflate",
        (_coded(b" gzip", zlib.compress(b"ok")),),
        httpx=Failure(),
        reason="the format is detected from the data",
        reused=True,
    ),
    OddServer(
        "deflate that is gzip",
        (_coded(b" deflate", _GZIP),),
        httpx=Failure(),
        reason="the format is detected from the data",
        reused=True,
    ),
    OddServer(
        "deflate, wrong",
        (_coded(b" deflate", b"ok ok ok"),),
        Response(200, b"ok ok ok"),
        httpx=Failure(),
        reason=_UNCHANGED,
        reused=True,
    ),
    OddServer(
        "gzip, gzip",
        (_coded(b" gzip, gzip", _TWICE),),
        Response(200, _TWICE),
        httpx=Response(),
        reason=_LAYERS,
        reused=True,
    ),
    OddServer(
        "gzip, and gzip in another header",
        (_coded(b" gzip\r\nContent-Encoding: gzip", _TWICE),),
        Response(200, _TWICE),
        httpx=Response(),
        reason=_LAYERS,
        reused=True,
    ),
    OddServer(
        "a body that looks like a response",
        (OK + b"Content-Length: %d\r\n\r\n%b" % (len(_LIKE_A_RESPONSE), _LIKE_A_RESPONSE),),
        Response(200, _LIKE_A_RESPONSE),
        reused=True,
    ),
    OddServer(
        "100 KB",
        (OK + b"Content-Length: 100000\r\n\r\n" + b"x" * 100_000,),
        Response(200, b"x" * 65_536, truncated=True),
        httpx=Response(200, b"x" * 100_000),
        reason="limit of a body, 64 KiB by default",
    ),
)

SERVERS: Final = _HEADS + _BODILESS + _COMPRESSED + _DIFFERENT

"""Bodies that may not be there, are compressed, or are not what they seem."""

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
_LIKE_AN_ANSWER: Final = b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n"
_AS_IT_CAME: Final = "what cannot be unfolded is kept as it came; the status is what counts"
_LAYERS: Final = "one coding is undone: several, one within the other, are how bombs multiply"


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

_WITHOUT: Final = (
    OddServer("204", (_status(b"204 None", b"\r\n"),), Response(204, b""), kept=True),
    OddServer(
        "204 of length 0",
        (_status(b"204 None", b"Content-Length: 0\r\n\r\n"),),
        Response(204, b""),
        kept=True,
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
        kept=True,
    ),
    OddServer("205 with a body", (_status(b"205 Reset", END),), Response(205), kept=True),
    OddServer(
        "304 with a length, as to GET",
        (_status(b"304 Same", b"Content-Length: 2\r\n\r\n"),),
        Response(304, b""),
        kept=True,
    ),
    OddServer("304 with a body", (_status(b"304 Same", END),), Response(304, b"")),
    OddServer("301", (_status(b"301 Moved", b"Location: /\r\n" + END),), Response(301), kept=True),
    OddServer(
        "206",
        (_status(b"206 Part", b"Content-Range: bytes 0-1/5\r\n" + END),),
        Response(206),
        kept=True,
    ),
)

_COMPRESSED: Final = (
    OddServer("gzip", (_coded(b" gzip", _GZIP),), kept=True),
    OddServer("GZIP", (_coded(b"GZIP ", _GZIP),), kept=True),
    OddServer("gzip, folded", (_coded(b"\r\n gzip", _GZIP),), kept=True),
    OddServer("gzip, identity", (_coded(b" gzip, identity", _GZIP),), kept=True),
    OddServer(
        "gzip up to the end of the connection",
        (OK + b"Content-Encoding: gzip\r\n\r\n" + _GZIP, Step.CLOSE),
    ),
    OddServer(
        "gzip behind bare LF", (_coded(b" gzip", _GZIP).replace(b"\r\n", b"\n", 4),), kept=True
    ),
    OddServer(
        "gzip of nothing",
        (_coded(b" gzip", gzip.compress(b"", mtime=0)),),
        Response(200, b""),
        kept=True,
    ),
    OddServer("gzip, and nothing at all", (_coded(b" gzip", b""),), Response(200, b""), kept=True),
    OddServer("gzip twice, one behind the other", (_coded(b" gzip", _GZIP + _GZIP),), kept=True),
    OddServer("junk behind gzip", (_coded(b" gzip", _GZIP + b"junk"),), kept=True),
    OddServer("gzip without its end", (_coded(b" gzip", _GZIP[:-6]),), kept=True),
    OddServer(
        "gzip without its beginning's end",
        (_coded(b" gzip", _GZIP[:5]),),
        Response(200, b""),
        kept=True,
    ),
    OddServer("deflate", (_coded(b" deflate", zlib.compress(b"ok")),), kept=True),
    OddServer("deflate, raw", (_coded(b" deflate", zlib.compress(b"ok")[2:-4]),), kept=True),
    OddServer("identity", (_coded(b" identity", b"ok"),), kept=True),
    OddServer("no coding", (_coded(b"", b"ok"),), kept=True),
    OddServer(
        "a coding nobody knows", (_coded(b" rot13", b"bx"),), Response(200, b"bx"), kept=True
    ),
    OddServer(
        "br",
        (_coded(b" br", b"\x0b\x00\x80ok\x03"),),
        Response(200, b"\x0b\x00\x80ok\x03"),
        kept=True,
    ),
    OddServer("br, wrong", (_coded(b" br", b"ok"),), kept=True),
    OddServer(
        "zstd",
        (_coded(b" zstd", b"\x28\xb5\x2f\xfd\x20\x02\x11\x00\x00ok"),),
        Response(200, b"\x28\xb5\x2f\xfd\x20\x02\x11\x00\x00ok"),
        kept=True,
    ),
    OddServer("zstd, wrong", (_coded(b" zstd", b"ok"),), kept=True),
)

_ELSE: Final = (
    OddServer(
        "x-gzip",
        (_coded(b" x-gzip", _GZIP),),
        httpx=Response(200, _GZIP),
        because="its old name (RFC 9110, section 8.4.1.3)",
        kept=True,
    ),
    OddServer(
        "gzip, wrong", (_coded(b" gzip", b"ok"),), httpx=Failure(), because=_AS_IT_CAME, kept=True
    ),
    OddServer(
        "gzip with a wrong checksum",
        (_coded(b" gzip", _DAMAGED),),
        Response(200, _DAMAGED),
        httpx=Failure(),
        because=_AS_IT_CAME,
        kept=True,
    ),
    OddServer(
        "gzip that is deflate",
        (_coded(b" gzip", zlib.compress(b"ok")),),
        httpx=Failure(),
        because="the bytes say which of the two it is",
        kept=True,
    ),
    OddServer(
        "deflate that is gzip",
        (_coded(b" deflate", _GZIP),),
        httpx=Failure(),
        because="the bytes say which of the two it is",
        kept=True,
    ),
    OddServer(
        "deflate, wrong",
        (_coded(b" deflate", b"ok ok ok"),),
        Response(200, b"ok ok ok"),
        httpx=Failure(),
        because=_AS_IT_CAME,
        kept=True,
    ),
    OddServer(
        "gzip, gzip",
        (_coded(b" gzip, gzip", _TWICE),),
        Response(200, _TWICE),
        httpx=Response(),
        because=_LAYERS,
        kept=True,
    ),
    OddServer(
        "gzip, and gzip in another header",
        (_coded(b" gzip\r\nContent-Encoding: gzip", _TWICE),),
        Response(200, _TWICE),
        httpx=Response(),
        because=_LAYERS,
        kept=True,
    ),
    OddServer(
        "a body that looks like an answer",
        (OK + b"Content-Length: %d\r\n\r\n%b" % (len(_LIKE_AN_ANSWER), _LIKE_AN_ANSWER),),
        Response(200, _LIKE_AN_ANSWER),
        kept=True,
    ),
    OddServer(
        "100 KB",
        (OK + b"Content-Length: 100000\r\n\r\n" + b"x" * 100_000,),
        Response(200, b"x" * 65_536, truncated=True),
        httpx=Response(200, b"x" * 100_000),
        because="the cap, 64 KiB of every body by default",
    ),
)

SERVERS: Final = _HEADS + _WITHOUT + _COMPRESSED + _ELSE

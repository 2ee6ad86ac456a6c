"""Reads one response after another from the bytes of a connection, up to the caps.

The parser is llhttp, through httptools. What it does not decide is decided here: how much is read,
that informational responses are passed over, when a response without a length is whole, and whether
the connection can be used again.
"""

from __future__ import annotations

import re
import zlib
from enum import IntEnum
from typing import TYPE_CHECKING, Final

from httptools import HttpParserError, HttpResponseParser

if TYPE_CHECKING:
    from delivery.models import Exchange

__all__ = ["Progress", "ResponseReader"]

_HEAD_END: Final = b"\r\n\r\n"
_ENCODING: Final = re.compile(rb"\ncontent-encoding:[ \t]*([^\r\n]*)", re.IGNORECASE)
_FRAMED: Final = re.compile(rb"\n(?:content-length|transfer-encoding):", re.IGNORECASE)
_GZIP: Final = frozenset({b"gzip", b"x-gzip"})
_AUTOMATIC: Final = zlib.MAX_WBITS | 32
"""Lets zlib tell gzip and zlib formats apart by themselves."""
_SWITCHING: Final = 101
_MAX_INFORMATIONAL: Final = 100


class Progress(IntEnum):
    """How far a response has been read."""

    READING = 0
    DONE = 1
    CUT = 2
    """As much as may be read was read; more may come."""
    FAILED = 3


class ResponseReader:
    """Fills in an `Exchange` from the bytes of a response."""

    __slots__ = (
        "_body",
        "_body_size",
        "_decoder",
        "_exchange",
        "_head",
        "_in_body",
        "_informational",
        "_is_head_request",
        "_max_body",
        "_max_head",
        "_parser",
        "_stored",
        "progress",
        "reusable",
    )

    def __init__(self, max_head: int, max_body: int) -> None:
        self._max_head = max_head
        self._max_body = max_body
        self._parser = HttpResponseParser(self)
        self.progress = Progress.DONE
        self.reusable = True

    def begin(self, exchange: Exchange, *, is_head_request: bool) -> None:
        """Expect the response to a request that is being sent."""
        self._exchange = exchange
        self._is_head_request = is_head_request
        self._head = b""
        self._in_body = False
        self._informational = 0
        self._body: list[bytes] = []
        self._stored = 0
        self._body_size = 0
        self._decoder: zlib._Decompress | None = None
        self.progress = Progress.READING
        self.reusable = True

    def feed(self, data: bytes) -> Progress:
        """Read bytes as they arrived."""
        if self.progress is not Progress.READING:
            self.reusable = False
            return self.progress
        if not self._in_body:
            self._head = self._head + data if self._head else data
        try:
            self._parser.feed_data(data)
        except HttpParserError as error:
            if self.progress is Progress.READING:
                self._fail(f"the response is not HTTP/1.1: {error}")
            self.reusable = False
        if (
            self.progress is Progress.READING
            and not self._in_body
            and len(self._head) > self._max_head
        ):
            self._fail(f"the response's headers are longer than {self._max_head} bytes")
        return self.progress

    def end_of_stream(self) -> Progress:
        """Conclude when the other side has closed the connection."""
        if self.progress is Progress.READING:
            if not self._in_body:
                what = "in the middle of the headers" if self._head else "without a response"
                self._fail(f"the connection was closed {what}")
            elif _FRAMED.search(b"\n" + self._exchange.response_head):
                self._conclude(Progress.FAILED)
                self._fail("the connection was closed before the whole body had arrived")
            else:
                self._conclude(Progress.DONE)
        self.reusable = False
        return self.progress

    def cut(self) -> None:
        """Keep what has been read so far; the time is over."""
        if self._in_body and self.progress is Progress.READING:
            self._conclude(Progress.CUT)
        self.reusable = False

    @property
    def began(self) -> bool:
        """Whether any byte of the response has arrived."""
        return bool(self._head)

    # What follows is called by the parser.

    def on_message_begin(self) -> None:
        """Notice a response that nobody asked for, behind the one that is whole."""
        if self.progress is not Progress.READING:
            self.reusable = False

    def on_headers_complete(self) -> None:
        """Take over the head, unless it is of an informational response."""
        status = self._parser.get_status_code()
        if self.progress is not Progress.READING or (status < 200 and status != _SWITCHING):  # noqa: PLR2004
            return
        exchange = self._exchange
        head = self._head
        end = head.find(_HEAD_END)
        if end < 0 or end > self._max_head:
            # A parser that is lenient about line ends can be done before an empty line is found.
            end = min(len(head), self._max_head) if end < 0 else end
        if end > self._max_head:
            self._fail(f"the response's headers are longer than {self._max_head} bytes")
            raise _Stop
        exchange.response_head = head[:end]
        exchange.status_code = status
        self._in_body = True
        if self._is_head_request or status == _SWITCHING:
            # No body follows although the headers may announce one, which the parser cannot know.
            self._conclude(Progress.DONE)
            self.reusable = False
            return
        found = _ENCODING.search(exchange.response_head)
        if found is not None:
            encoding = found[1].strip().lower()
            if encoding in _GZIP or encoding == b"deflate":
                self._decoder = zlib.decompressobj(_AUTOMATIC)

    def on_body(self, data: bytes) -> None:
        """Keep the body up to the cap, counted both as it arrives and as it unfolds."""
        if self.progress is not Progress.READING:
            return
        self._body_size += len(data)
        if self._decoder is not None:
            data = self._unfolded(data)
        room = self._max_body - self._stored
        if len(data) > room:
            self._body.append(data[:room])
            self._stored = self._max_body
            self._conclude(Progress.CUT)
            return
        self._body.append(data)
        self._stored += len(data)
        if self._body_size > self._max_body:
            self._conclude(Progress.CUT)

    def on_message_complete(self) -> None:
        """Conclude, or go on after an informational response."""
        if self.progress is not Progress.READING:
            return
        if not self._in_body:
            self._informational += 1
            if self._informational > _MAX_INFORMATIONAL:
                self._fail("the response is preceded by too many informational ones")
                raise _Stop
            self._head = self._head[self._head.find(_HEAD_END) + len(_HEAD_END) :]
            return
        if not self._parser.should_keep_alive():
            self.reusable = False
        self._conclude(Progress.DONE)

    def _unfolded(self, data: bytes) -> bytes:
        assert self._decoder is not None
        try:
            # One byte more than there is room for, so that it shows when there is more.
            return self._decoder.decompress(data, self._max_body - self._stored + 1)
        except zlib.error:
            # What claims to be compressed and is not is kept as it came.
            self._decoder = None
            return data

    def _conclude(self, progress: Progress) -> None:
        exchange = self._exchange
        exchange.response_body = b"".join(self._body)
        exchange.response_size = max(self._body_size, self._stored)
        self.progress = progress
        if progress is Progress.CUT:
            exchange.truncated = True
            self.reusable = False

    def _fail(self, reason: str) -> None:
        self._exchange.error = reason
        self.progress = Progress.FAILED
        self.reusable = False


class _Stop(Exception):
    """No more is to be read."""

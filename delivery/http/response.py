"""Reads one response after another from the bytes of a connection, up to the caps.

The parser is llhttp, through httptools. What it does not decide is decided here: how much is read,
that informational responses are passed over, when a response without a length is whole, and whether
the connection can be used again.
"""

from __future__ import annotations

import re
from enum import IntEnum
from typing import TYPE_CHECKING, Final, NoReturn

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

from delivery.http.body import ResponseBody

if TYPE_CHECKING:
    from delivery.models import Exchange

__all__ = ["Progress", "ResponseReader"]

_FRAMED: Final = re.compile(
    rb"\n(?:content-length:|transfer-encoding:[^\r\n]*chunked)", re.IGNORECASE
)
_FIRST_STATUS: Final = 100
_SWITCHING: Final = 101
_FIRST_FINAL: Final = 200
_CARRIAGE_RETURN: Final = 13
_FRAMING: Final = 8
"""Bytes of chunked framing allowed for each byte of body: a chunk of one byte takes six."""


class Progress(IntEnum):
    """How far a response has been read."""

    READING = 0
    DONE = 1
    CUT = 2
    """As much as may be read was read; more may come."""
    FAILED = 3


class ResponseReader:
    """Fills in an `Exchange` from the bytes of a response.

    Args:
        max_head: Bytes of status line and headers, those of informational responses included, above
            which a response is a failure; and bytes of trailers above which it is cut.
        max_body: Bytes of a body, as it arrives and as it unfolds, above which it is cut.
    """

    __slots__ = (
        "_body",
        "_exchange",
        "_following",
        "_head",
        "_in_body",
        "_is_head_request",
        "_max_head",
        "_parser",
        "_passed",
        "began",
        "progress",
        "reusable",
    )

    def __init__(self, max_head: int, max_body: int) -> None:
        self._max_head = max_head
        self._body = ResponseBody(max_body)
        self._parser = HttpResponseParser(self)
        # As tolerant as browsers and httpx are: lines that end in a bare LF, values folded over
        # several lines. Where a response ends is still decided by the strict rules.
        self._parser.set_dangerous_leniencies(
            lenient_headers=True, lenient_optional_cr_before_lf=True
        )
        self.progress = Progress.DONE
        self.reusable = True

    def begin(self, exchange: Exchange, *, is_head_request: bool) -> None:
        """Expect the response to a request that is being sent."""
        self._exchange = exchange
        self._is_head_request = is_head_request
        self._head = b""
        self._in_body = False
        self._passed = 0
        self._following = 0
        self.began = False
        """Whether any byte of the response has arrived."""
        self.progress = Progress.READING
        self.reusable = True

    def feed(self, data: bytes) -> Progress:
        """Read bytes as they arrived."""
        if self.progress is not Progress.READING:
            self.reusable = False
            return self.progress
        self.began = True
        if self._in_body:
            self._following += len(data)
        else:
            self._head = self._head + data if self._head else data
        try:
            self._parser.feed_data(data)
        except (HttpParserError, HttpParserUpgrade) as error:
            if self.progress is Progress.READING:
                self._fail(f"the response is not HTTP/1.1: {error}")
            self.reusable = False
        if self.progress is Progress.READING:
            self._check_size()
        return self.progress

    def end_of_stream(self) -> Progress:
        """Conclude when the other side has closed the connection."""
        if self.progress is Progress.READING:
            if not self._in_body:
                what = "in the middle of the headers" if self.began else "without a response"
                self._fail(f"the connection was closed {what}")
            elif _FRAMED.search(self._exchange.response_head):
                self._keep_body()
                self._exchange.truncated = True
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

    def forget(self) -> None:
        """Let go of a response that is over, so that a free connection keeps none in memory."""
        del self._exchange
        self._head = b""
        self._body.forget()

    # What follows is called by the parser.

    def on_message_begin(self) -> None:
        """Notice a response that nobody asked for, behind the one that is whole."""
        if self.progress is not Progress.READING:
            self.reusable = False

    def on_headers_complete(self) -> None:
        """Take over the head, unless it is of an informational response."""
        if self.progress is not Progress.READING:
            return
        status = self._parser.get_status_code()
        if status < _FIRST_FINAL and status != _SWITCHING:
            if status < _FIRST_STATUS:
                self._stop(f"the response is not HTTP/1.1: {status:03} is not a status")
            return
        head = self._take_head()
        if self._passed > self._max_head:
            self._stop(self._head_too_long())
        exchange = self._exchange
        exchange.response_head = head
        exchange.status_code = status
        self._in_body = True
        self._following = len(self._head)
        self._head = b""
        self._body.begin(head)
        if self._is_head_request or status == _SWITCHING:
            # No body follows although the headers may announce one, which the parser cannot know.
            self._conclude(Progress.DONE)
            self.reusable = False

    def on_body(self, data: bytes) -> None:
        """Keep the body up to the cap."""
        if self.progress is Progress.READING and not self._body.feed(data):
            self._conclude(Progress.CUT)

    def on_message_complete(self) -> None:
        """Conclude, or go on after an informational response."""
        if self.progress is not Progress.READING:
            return
        if not self._in_body:
            self._take_head()
            return
        if not self._parser.should_keep_alive():
            self.reusable = False
        self._conclude(Progress.DONE)

    def _take_head(self) -> bytes:
        """The head that was just parsed, without its empty line; what follows it stays."""
        head = self._head
        if head[:1] in b"\r\n":
            # Empty lines before a response, which the parser passes over.
            head = head.lstrip(b"\r\n")
        end = head.find(b"\n\r\n")
        rest = end + 3
        bare = head.find(b"\n\n", 0, end + 1) if end >= 0 else head.find(b"\n\n")
        if bare >= 0:
            end, rest = bare, bare + 2
        if end < 0:
            self._stop("the response is not HTTP/1.1: its headers do not end")
        self._passed += rest
        self._head = head[rest:]
        return head[: end - 1] if head[end - 1] == _CARRIAGE_RETURN else head[:end]

    def _check_size(self) -> None:
        if self._in_body:
            # What is not body is chunk sizes and trailers.
            beside = self._following - self._body.received * _FRAMING
            if beside > self._max_head:
                self._conclude(Progress.CUT)
        elif self._passed + len(self._head) > self._max_head:
            self._fail(self._head_too_long())

    def _head_too_long(self) -> str:
        return f"the response's headers are longer than {self._max_head} bytes"

    def _conclude(self, progress: Progress) -> None:
        self._keep_body()
        self.progress = progress
        if progress is Progress.CUT:
            self._exchange.truncated = True
            self.reusable = False

    def _keep_body(self) -> None:
        exchange = self._exchange
        exchange.response_body = self._body.content
        exchange.response_size = self._body.size

    def _fail(self, reason: str) -> None:
        self._exchange.error = reason
        self.progress = Progress.FAILED
        self.reusable = False

    def _stop(self, reason: str) -> NoReturn:
        """Fail, and end the parser's work on what it was given."""
        self._fail(reason)
        raise _Stop


class _Stop(Exception):
    """No more is to be read."""

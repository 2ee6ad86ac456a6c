"""Reader of the responses on a connection, with size limits.

The parser is llhttp, through httptools. This module decides the rest: the amount to read, the
handling of informational responses, the end of a response without a length, and whether the
connection can be reused.
"""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING, Final, NoReturn

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

from delivery.http.body import ResponseBody
from delivery.http.framing import declares_body, is_framed, merge_content_lengths

if TYPE_CHECKING:
    from delivery.models import Exchange

__all__ = ["Progress", "ResponseReader"]

_FIRST_STATUS: Final = 100
_SWITCHING_PROTOCOLS: Final = 101
_FIRST_FINAL: Final = 200
_NO_CONTENT: Final = 204
_CARRIAGE_RETURN: Final = 13
_CONTINUATION: Final = b" \t"
_MAX_INFORMATIONAL: Final = 100
"""Maximum number of responses with a status of 1xx before the final response."""
_MAX_PIECES: Final = 10_000
"""Maximum number of pieces of a response. A piece costs the same CPU time for any size."""
_MAX_FRAMING: Final = 8
"""Bytes of chunked framing allowed per byte of body. A chunk of one byte needs six."""


class Progress(IntEnum):
    """Progress in reading a response."""

    READING = 0
    DONE = 1
    CUT = 2
    """The response was truncated at a limit. More data may follow."""
    FAILED = 3


class ResponseReader:
    """Reader that fills in an `Exchange` from the bytes of a response.

    Args:
        max_head: Maximum bytes of status line and headers, including those of informational
            responses. A longer head is a failure. Also the maximum bytes of trailers, above which
            the response is truncated.
        max_body: Maximum bytes of a body before and after decompression. A longer body is
            truncated.
    """

    __slots__ = (
        "_body",
        "_exchange",
        "_head",
        "_head_size",
        "_in_body",
        "_informational",
        "_is_head_request",
        "_length_error",
        "_max_head",
        "_original_head",
        "_parser",
        "_pieces",
        "_searched",
        "_size_after_head",
        "began",
        "progress",
        "reusable",
    )

    def __init__(self, max_head: int, max_body: int) -> None:
        self._max_head = max_head
        self._body = ResponseBody(max_body)
        self._parser = self._new_parser()
        self._length_error = ""
        """Error of a head with repeated lengths, which needs repair once it is complete."""
        self._original_head = b""
        """Head before the repair. The connection is not reused afterwards."""
        self.progress = Progress.DONE
        self.reusable = True

    def begin(self, exchange: Exchange, *, is_head_request: bool) -> None:
        """Prepare for the response to a request."""
        self._exchange = exchange
        self._is_head_request = is_head_request
        self._head: bytes | bytearray = b""
        """Received part of the head. Not copied in the usual case of a single piece."""
        self._searched = 0
        """Offset in the head up to which the search found no end."""
        self._in_body = False
        self._informational = 0
        self._pieces = 0
        self._head_size = 0
        self._size_after_head = 0
        self.began = False
        """True after the first byte of the response."""
        self.progress = Progress.READING
        self.reusable = True

    def feed(self, data: bytes) -> Progress:
        """Read bytes from the connection."""
        if self.progress is not Progress.READING:
            self.reusable = False
            return self.progress
        self.began = True
        self._pieces += 1
        if self._in_body:
            self._size_after_head += len(data)
        elif self._head:
            self._add_to_head(data)
        else:
            self._head = data
            self._searched = 0
        self._parse(self._repair_head() if self._length_error else data)
        if self.progress is Progress.READING:
            self._check_size()
        return self.progress

    def end_of_stream(self, *, is_reset: bool = False) -> Progress:
        """End the response after the server has closed the connection.

        Args:
            is_reset: True if the connection was reset. A body that ends with the connection may
                then be incomplete.
        """
        if self.progress is Progress.READING:
            if not self._in_body:
                step = "in the middle of the headers" if self.began else "without a response"
                self._fail(f"the connection was closed {step}")
            elif is_reset or is_framed(self._exchange.response_head):
                self._fail("the connection was closed before the whole body had arrived")
            else:
                self._end(Progress.DONE)
        self.reusable = False
        return self.progress

    def cut(self) -> None:
        """Store the part of the response that was read, after a timeout."""
        if self._in_body and self.progress is Progress.READING:
            self._end(Progress.CUT)
        self.reusable = False

    def forget(self) -> None:
        """Release the memory of the response, because there may be many idle connections."""
        del self._exchange
        self._head = b""
        self._body.forget()

    # The parser calls the following methods.

    def on_message_begin(self) -> None:
        """Detect an unrequested response after a complete one."""
        if self.progress is not Progress.READING:
            self.reusable = False

    def on_headers_complete(self) -> None:
        """Store the head of a final response."""
        if self.progress is not Progress.READING:
            return
        status = self._parser.get_status_code()
        if status < _FIRST_FINAL and status != _SWITCHING_PROTOCOLS:
            if status < _FIRST_STATUS:
                self._stop(f"the response is not HTTP/1.1: {status:03} is not a valid status")
            return
        head = self._take_head()
        if self._head_size > self._max_head:
            self._stop(self._head_too_long())
        exchange = self._exchange
        exchange.response_head = self._original_head or head
        exchange.status_code = status
        self._in_body = True
        self._size_after_head = len(self._head)
        self._head = b""
        self._body.begin(head)
        if status == _NO_CONTENT and declares_body(head):
            # The server may send the forbidden body later.
            self.reusable = False
        if self._is_head_request or status == _SWITCHING_PROTOCOLS:
            # No body follows, even if the headers declare one. The parser does not know this.
            self._end(Progress.DONE)
            self.reusable = False

    def on_body(self, data: bytes) -> None:
        """Store the body up to the limit."""
        if self.progress is Progress.READING and not self._body.feed(data):
            self._end(Progress.CUT)

    def on_message_complete(self) -> None:
        """End the response, or continue after an informational response."""
        if self.progress is not Progress.READING:
            return
        if not self._in_body:
            self._take_head()
            self._original_head = b""
            self._informational += 1
            if self._informational > _MAX_INFORMATIONAL:
                self._stop(
                    f"the server sent more than {_MAX_INFORMATIONAL} informational responses (1xx)"
                )
            if not self._parser.should_keep_alive():
                # This parser reads no more after `Connection: close` or HTTP/1.0.
                self._parser = self._new_parser()
                self.reusable = False
            return
        if not self._parser.should_keep_alive():
            self.reusable = False
        self._end(Progress.DONE)

    def _add_to_head(self, data: bytes) -> None:
        head = self._head
        if isinstance(head, bytearray):
            head += data
        else:
            self._head = bytearray(head) + data

    def _take_head(self) -> bytes:
        """Remove the parsed head from the received bytes, and return it without its empty line."""
        head = self._head
        if head[:1] in b"\r\n":
            # The parser ignores empty lines before a response.
            head = head.lstrip(b"\r\n")
        if head[head.find(b"\n") + 1] in _CONTINUATION:
            # The parser would treat a blank line of this kind as the end of the headers.
            self._stop("the response is not HTTP/1.1: its headers begin with a continuation line")
        end, rest = _end_of(head)
        if end < 0:
            self._stop("the response is not HTTP/1.1: its headers do not end")
        self._head_size += rest
        self._head = head[rest:]
        self._searched = 0
        return bytes(head[: end - 1] if head[end - 1] == _CARRIAGE_RETURN else head[:end])

    def _new_parser(self) -> HttpResponseParser:
        parser = HttpResponseParser(self)
        # Tolerant like browsers and httpx: lines that end in a bare LF, values folded over several
        # lines, spaces after the size of a chunk, later versions. The strict rules still determine
        # the end of a response.
        parser.set_dangerous_leniencies(
            lenient_headers=True,
            lenient_optional_cr_before_lf=True,
            lenient_spaces_after_chunk_size=True,
            lenient_version=True,
        )
        return parser

    def _parse(self, data: bytes | None) -> None:
        while data:
            parser = self._parser
            try:
                parser.feed_data(data)
            except (HttpParserError, HttpParserUpgrade) as error:
                data = self._after_error(parser, error)
            else:
                return

    def _after_error(
        self, parser: HttpResponseParser, error: HttpParserError | HttpParserUpgrade
    ) -> bytes | None:
        """Return the bytes for the next parser after an error; None if there is none."""
        self.reusable = False
        if self.progress is not Progress.READING:
            return None
        if parser is not self._parser:
            return bytes(self._head)
        reason = f"the response is not HTTP/1.1: {error}"
        if self._in_body or "Content-Length" not in reason:
            self._fail(reason)
            return None
        self._length_error = reason
        return self._repair_head()

    def _repair_head(self) -> bytes | None:
        """Return the received bytes with repeated lengths merged; None if not possible (yet)."""
        # The last two searched bytes may be the first bytes of the end.
        end, rest = _end_of(self._head, max(self._searched - 2, 0))
        if end < 0:
            self._searched = len(self._head)
            return None
        head = bytes(self._head[:rest])
        repaired = merge_content_lengths(head)
        if repaired is None:
            self._fail(self._length_error)
        elif self._head_size + rest > self._max_head:
            self._fail(self._head_too_long())
        else:
            self._length_error = ""
            self._original_head = head.strip(b"\r\n")
            self._head = repaired + bytes(self._head[rest:])
            self._searched = 0
            self._parser = self._new_parser()
            return self._head
        return None

    def _check_size(self) -> None:
        if self._in_body:
            # The other bytes are chunk sizes and trailers.
            overhead = self._size_after_head - self._body.received * _MAX_FRAMING
            if overhead > self._max_head or self._pieces > _MAX_PIECES:
                self._end(Progress.CUT)
        elif self._pieces > _MAX_PIECES:
            self._fail(f"the response's headers arrived in more than {_MAX_PIECES:,} pieces")
        elif self._head_size + len(self._head) > self._max_head:
            self._fail(self._head_too_long())

    def _head_too_long(self) -> str:
        return f"the response's headers are longer than {self._max_head} bytes"

    def _end(self, progress: Progress) -> None:
        self._store_body()
        self.progress = progress
        if progress is Progress.CUT:
            self._exchange.truncated = True
            self.reusable = False

    def _store_body(self) -> None:
        exchange = self._exchange
        exchange.response_body = self._body.content
        exchange.response_size = self._body.size

    def _fail(self, reason: str) -> None:
        if self._in_body:
            self._store_body()
            self._exchange.truncated = True
        self._exchange.error = reason
        self.progress = Progress.FAILED
        self.reusable = False

    def _stop(self, reason: str) -> NoReturn:
        """Fail, and stop the parser."""
        self._fail(reason)
        raise _ParserStop


def _end_of(head: bytes | bytearray, start: int = 0) -> tuple[int, int]:
    """Return the end of the last line of a head, and the offset of the bytes after the head.

    The end is -1 for an incomplete head. The search begins at `start`.
    """
    end = head.find(b"\n\r\n", start)
    bare = head.find(b"\n\n", start, end + 1) if end >= 0 else head.find(b"\n\n", start)
    return (bare, bare + 2) if bare >= 0 else (end, end + 3)


class _ParserStop(Exception):
    """Signal to stop the parser."""

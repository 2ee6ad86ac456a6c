"""Reads one response after another from the bytes of a connection, up to the caps.

The parser is llhttp, through httptools. What it does not decide is decided here: how much is read,
that informational responses are passed over, when a response without a length is whole, and whether
the connection can be used again.
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
_SWITCHING: Final = 101
_FIRST_FINAL: Final = 200
_NO_CONTENT: Final = 204
_CARRIAGE_RETURN: Final = 13
_FOLDED: Final = b" \t"
_MOST_INFORMATIONAL: Final = 100
"""Responses with a status of 1xx before the one that counts."""
_MOST_PIECES: Final = 10_000
"""Pieces in which a response may arrive: each costs the same, however few bytes it has."""
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
        "_as_sent",
        "_body",
        "_exchange",
        "_following",
        "_head",
        "_in_body",
        "_informational",
        "_is_head_request",
        "_max_head",
        "_parser",
        "_passed",
        "_pieces",
        "_retold",
        "_searched",
        "began",
        "progress",
        "reusable",
    )

    def __init__(self, max_head: int, max_body: int) -> None:
        self._max_head = max_head
        self._body = ResponseBody(max_body)
        self._parser = self._new_parser()
        self._retold = ""
        """Why the head can be read only when all of it is here, and the length is told once."""
        self._as_sent = b""
        """The head before it was mended. No other response follows on such a connection."""
        self.progress = Progress.DONE
        self.reusable = True

    def begin(self, exchange: Exchange, *, is_head_request: bool) -> None:
        """Expect the response to a request that is being sent."""
        self._exchange = exchange
        self._is_head_request = is_head_request
        self._head: bytes | bytearray = b""
        """The received part of a head; not copied if one piece has all of it, as nearly always."""
        self._searched = 0
        """Up to where in it no end was found."""
        self._in_body = False
        self._informational = 0
        self._pieces = 0
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
        self._pieces += 1
        if self._in_body:
            self._following += len(data)
        elif self._head:
            self._add_to_head(data)
        else:
            self._head = data
            self._searched = 0
        self._parse(self._mended_head() if self._retold else data)
        if self.progress is Progress.READING:
            self._check_size()
        return self.progress

    def end_of_stream(self, *, is_reset: bool = False) -> Progress:
        """Conclude when the other side has closed the connection.

        Args:
            is_reset: It was not closed in an orderly way, so that a body which ends with the
                connection may lack its end.
        """
        if self.progress is Progress.READING:
            if not self._in_body:
                what = "in the middle of the headers" if self.began else "without a response"
                self._fail(f"the connection was closed {what}")
            elif is_reset or is_framed(self._exchange.response_head):
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
        exchange.response_head = self._as_sent or head
        exchange.status_code = status
        self._in_body = True
        self._following = len(self._head)
        self._head = b""
        self._body.begin(head)
        if status == _NO_CONTENT and declares_body(head):
            # It may not, and may yet send it.
            self.reusable = False
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
            self._as_sent = b""
            self._informational += 1
            if self._informational > _MOST_INFORMATIONAL:
                self._stop(
                    f"more than {_MOST_INFORMATIONAL} informational responses (1xx) came first"
                )
            if not self._parser.should_keep_alive():
                # It says `Connection: close`, or is of HTTP/1.0; this parser would read no more.
                self._parser = self._new_parser()
                self.reusable = False
            return
        if not self._parser.should_keep_alive():
            self.reusable = False
        self._conclude(Progress.DONE)

    def _add_to_head(self, data: bytes) -> None:
        head = self._head
        if isinstance(head, bytearray):
            head += data
        else:
            self._head = bytearray(head) + data

    def _take_head(self) -> bytes:
        """The head that was just parsed, without its empty line; what follows it stays."""
        head = self._head
        if head[:1] in b"\r\n":
            # Empty lines before a response, which the parser passes over.
            head = head.lstrip(b"\r\n")
        if head[head.find(b"\n") + 1] in _FOLDED:
            # The parser takes an empty line of this kind for the end of the headers.
            self._stop("the response is not HTTP/1.1: its headers begin with a continued line")
        end, rest = _end_of(head)
        if end < 0:
            self._stop("the response is not HTTP/1.1: its headers do not end")
        self._passed += rest
        self._head = head[rest:]
        self._searched = 0
        return bytes(head[: end - 1] if head[end - 1] == _CARRIAGE_RETURN else head[:end])

    def _new_parser(self) -> HttpResponseParser:
        parser = HttpResponseParser(self)
        # As tolerant as browsers and httpx are: lines that end in a bare LF, values folded over
        # several lines, spaces behind the size of a chunk, later versions. Where a response ends
        # is still decided by the strict rules.
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
                data = self._to_parse_anew(parser, error)
            else:
                return

    def _to_parse_anew(
        self, parser: HttpResponseParser, error: HttpParserError | HttpParserUpgrade
    ) -> bytes | None:
        """What the parser in use has yet to be given, now that one has stopped; None: nothing."""
        self.reusable = False
        if self.progress is not Progress.READING:
            return None
        if parser is not self._parser:
            return bytes(self._head)
        reason = f"the response is not HTTP/1.1: {error}"
        if self._in_body or "Content-Length" not in reason:
            self._fail(reason)
            return None
        self._retold = reason
        return self._mended_head()

    def _mended_head(self) -> bytes | None:
        """A head that tells the length more than once, with it told once; None: cannot be, yet."""
        # The last two bytes that were searched may be the first of the end.
        end, rest = _end_of(self._head, max(self._searched - 2, 0))
        if end < 0:
            self._searched = len(self._head)
            return None
        head = bytes(self._head[:rest])
        mended = merge_content_lengths(head)
        if mended is None:
            self._fail(self._retold)
        elif self._passed + rest > self._max_head:
            self._fail(self._head_too_long())
        else:
            self._retold = ""
            self._as_sent = head.strip(b"\r\n")
            self._head = mended + bytes(self._head[rest:])
            self._searched = 0
            self._parser = self._new_parser()
            return self._head
        return None

    def _check_size(self) -> None:
        if self._in_body:
            # What is not body is chunk sizes and trailers.
            beside = self._following - self._body.received * _FRAMING
            if beside > self._max_head or self._pieces > _MOST_PIECES:
                self._conclude(Progress.CUT)
        elif self._pieces > _MOST_PIECES:
            self._fail(f"the response's headers came in more than {_MOST_PIECES:,} pieces")
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
        if self._in_body:
            self._keep_body()
            self._exchange.truncated = True
        self._exchange.error = reason
        self.progress = Progress.FAILED
        self.reusable = False

    def _stop(self, reason: str) -> NoReturn:
        """Fail, and end the parser's work on what it was given."""
        self._fail(reason)
        raise _Stop


def _end_of(head: bytes | bytearray, start: int = 0) -> tuple[int, int]:
    """Return where the last line of a head ends, and where what follows it begins.

    -1: it does not end; nor does it before `start`, from where on it is searched.
    """
    end = head.find(b"\n\r\n", start)
    bare = head.find(b"\n\n", start, end + 1) if end >= 0 else head.find(b"\n\n", start)
    return (bare, bare + 2) if bare >= 0 else (end, end + 3)


class _Stop(Exception):
    """No more is to be read."""

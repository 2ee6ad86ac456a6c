"""Response body: decompression and size limits."""

from __future__ import annotations

import re
import zlib
from typing import Final

__all__ = ["ResponseBody", "is_decompressed"]

_ENCODING: Final = re.compile(rb"\ncontent-encoding:((?:[^\r\n]|\r?\n[ \t])*)", re.IGNORECASE)
_COMPRESSED: Final = frozenset({b"gzip", b"x-gzip", b"deflate"})
_IDENTITY: Final = frozenset({b"", b"identity"})
_DETECT_FORMAT: Final = zlib.MAX_WBITS | 32
"""Window size with which zlib detects the zlib and gzip formats."""


def is_decompressed(head: bytes) -> bool:
    """Return whether `ResponseBody` decompresses the body that follows this head.

    It decompresses a single gzip or deflate coding. Nested codings are left compressed: they
    multiply the size of decompression bombs.
    """
    values = _ENCODING.findall(head)
    if not values:
        return False
    codings = (coding.strip() for coding in b",".join(values).lower().split(b","))
    named = [coding for coding in codings if coding not in _IDENTITY]
    return len(named) == 1 and named[0] in _COMPRESSED


class ResponseBody:
    """Buffer for one response body at a time. Decompresses gzip and deflate.

    Args:
        limit: Maximum number of bytes read from the connection, and of bytes stored.
    """

    __slots__ = (
        "_decoder",
        "_has_zlib_header",
        "_limit",
        "_parts",
        "_stored",
        "_undecompressed",
        "received",
    )

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._parts: list[bytes] = []
        self._stored = 0
        self._decoder: zlib._Decompress | None = None
        self.received = 0
        """Number of bytes read from the connection."""

    def begin(self, head: bytes) -> None:
        """Prepare for the body that follows this head."""
        self.forget()
        if is_decompressed(head):
            self._decoder = zlib.decompressobj(_DETECT_FORMAT)
            self._has_zlib_header = True
            self._undecompressed = bytearray()

    def forget(self) -> None:
        """Release the memory of the last body."""
        self._parts = []
        self._stored = 0
        self._decoder = None
        self.received = 0

    @property
    def content(self) -> bytes:
        """Stored part of the body."""
        return self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)

    @property
    def size(self) -> int:
        """Number of bytes read or decompressed, whichever is greater."""
        return max(self.received, self._stored)

    def feed(self, data: bytes) -> bool:
        """Add bytes from the connection. Return False at the limit, or if they are corrupt."""
        self.received += len(data)
        is_complete = True
        if self._decoder is not None:
            decompressed = self._decompress(data)
            is_complete = decompressed is not None
            data = decompressed or b""
        room = self._limit - self._stored
        if len(data) > room:
            data = data[:room]
            is_complete = False
        if data:
            self._parts.append(data)
            self._stored += len(data)
        return is_complete and self.received <= self._limit

    def _decompress(self, data: bytes) -> bytes | None:
        """Return the decompressed data; None if they are corrupt after a valid beginning."""
        assert self._decoder is not None
        try:
            # One byte above the limit shows that there is more data. The argument is never 0, which
            # means no limit to zlib.
            decompressed = self._decoder.decompress(data, self._limit - self._stored + 1)
        except zlib.error:
            if self._stored:
                return None
            data = bytes(self._undecompressed + data)
            if self._has_zlib_header:
                # Some servers send deflate without the zlib header that RFC 9110 requires.
                self._decoder = zlib.decompressobj(-zlib.MAX_WBITS)
                self._has_zlib_header = False
                self._undecompressed = bytearray()
                return self._decompress(data)
            # The body is not compressed, in spite of its header: store it unchanged.
            self._decoder = None
            return data
        if not self._stored and not decompressed:
            self._undecompressed += data
        return decompressed

"""Keeps the body of a response up to a cap, counted as it arrives and as it unfolds."""

from __future__ import annotations

import re
import zlib
from typing import Final

__all__ = ["ResponseBody", "is_decompressed"]

_ENCODING: Final = re.compile(rb"\ncontent-encoding:((?:[^\r\n]|\r?\n[ \t])*)", re.IGNORECASE)
_COMPRESSED: Final = frozenset({b"gzip", b"x-gzip", b"deflate"})
_NOT_A_CODING: Final = frozenset({b"", b"identity"})
_AUTOMATIC: Final = zlib.MAX_WBITS | 32
"""Lets zlib tell its own format and that of gzip apart by itself."""


def is_decompressed(head: bytes) -> bool:
    """Whether the body that follows this head is compressed in a way that is undone here.

    One coding is; several, one within the other, are how bombs multiply.
    """
    values = _ENCODING.findall(head)
    if not values:
        return False
    codings = (coding.strip() for coding in b",".join(values).lower().split(b","))
    named = [coding for coding in codings if coding not in _NOT_A_CODING]
    return len(named) == 1 and named[0] in _COMPRESSED


class ResponseBody:
    """Collects one body after another; gzip and deflate are unfolded, other codings are kept.

    Args:
        limit: Bytes that are kept, and that are taken from the connection at most.
    """

    __slots__ = ("_decoder", "_kept", "_limit", "_parts", "_undecoded", "_wrapped", "received")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._parts: list[bytes] = []
        self._kept = 0
        self._decoder: zlib._Decompress | None = None
        self.received = 0
        """Bytes as they arrived."""

    def begin(self, head: bytes) -> None:
        """Expect the body that follows this head."""
        self.forget()
        if is_decompressed(head):
            self._decoder = zlib.decompressobj(_AUTOMATIC)
            self._wrapped = True
            self._undecoded = bytearray()

    def forget(self) -> None:
        """Let go of the last body."""
        self._parts = []
        self._kept = 0
        self._decoder = None
        self.received = 0

    @property
    def content(self) -> bytes:
        """What was kept so far."""
        return self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)

    @property
    def size(self) -> int:
        """Bytes read, as they arrived or as they unfolded, whichever were more."""
        return max(self.received, self._kept)

    def feed(self, data: bytes) -> bool:
        """Take bytes as they arrived; False: no more may be taken, and some of these were not."""
        self.received += len(data)
        whole = True
        if self._decoder is not None:
            unfolded = self._unfold(data)
            whole = unfolded is not None
            data = unfolded or b""
        room = self._limit - self._kept
        if len(data) > room:
            data = data[:room]
            whole = False
        if data:
            self._parts.append(data)
            self._kept += len(data)
        return whole and self.received <= self._limit

    def _unfold(self, data: bytes) -> bytes | None:
        """The data decompressed; None: it cannot be, although what came before it could."""
        assert self._decoder is not None
        try:
            # One byte more than there is room for, so that it shows when there is more. Never 0,
            # which to zlib means without a limit.
            unfolded = self._decoder.decompress(data, self._limit - self._kept + 1)
        except zlib.error:
            if self._kept:
                return None
            data = bytes(self._undecoded + data)
            if self._wrapped:
                # Some servers send deflate without the wrapping that its specification asks for.
                self._decoder = zlib.decompressobj(-zlib.MAX_WBITS)
                self._wrapped = False
                self._undecoded = bytearray()
                return self._unfold(data)
            # What claims to be compressed and is not is kept as it came.
            self._decoder = None
            return data
        if not self._kept and not unfolded:
            self._undecoded += data
        return unfolded

"""Framing of response bodies, as far as the parser does not decide it (RFC 9112, 6.3)."""

from __future__ import annotations

import re
from typing import Final

__all__ = ["declares_body", "is_framed", "merge_content_lengths"]

_VALUE: Final = rb"[ \t]*:((?:[^\r\n]|\r?\n[ \t])*)"
"""Pattern of a header's value, which may be folded over several lines."""
_LENGTH: Final = re.compile(rb"\ncontent-length" + _VALUE + rb"\r?", re.IGNORECASE)
_CODINGS: Final = re.compile(rb"\ntransfer-encoding" + _VALUE, re.IGNORECASE)
_DECLARED: Final = re.compile(
    rb"\n(?:content-length[ \t]*:\s*0*[1-9]|transfer-encoding[ \t]*:)", re.IGNORECASE
)
_FOLDED: Final = re.compile(rb"\n[ \t]")


def is_framed(head: bytes) -> bool:
    """Return whether the head defines the end of the body. If not, it ends with the connection."""
    codings = _codings(head)
    if codings:
        return codings[-1] == b"chunked"
    return _LENGTH.search(head) is not None


def declares_body(head: bytes) -> bool:
    """Return whether the head declares a nonempty body.

    Such a body may follow even a status that forbids one (204).
    """
    return _DECLARED.search(head) is not None


def merge_content_lengths(head: bytes) -> bytes | None:
    """Merge repeated Content-Length headers. Return None if there are none, or they differ.

    Equal lengths count as one (RFC 9110, 8.6), and a chunked coding overrides all lengths.
    """
    if _FOLDED.search(head):
        return None
    codings = _codings(head)
    lengths = [part.strip() for value in _LENGTH.findall(head) for part in value.split(b",")]
    if codings and codings[-1] == b"chunked":
        merged = b""
    elif not codings and len(set(lengths)) == 1 and lengths[0].isdigit():
        merged = b"Content-Length: %b\r\n" % lengths[0]
    else:
        return None
    first, line_break, rest = _LENGTH.sub(b"", head).partition(b"\n")
    repaired = b"%b%b%b%b" % (first, line_break, merged, rest)
    return None if _LENGTH.findall(repaired) == _LENGTH.findall(head) else repaired


def _codings(head: bytes) -> list[bytes]:
    values = b",".join(_CODINGS.findall(head)).lower()
    return [coding for coding in map(bytes.strip, values.split(b",")) if coding]

"""What a response's head says of where its body ends, beyond what the parser tells.

The rules are those of RFC 9112, section 6.3.
"""

from __future__ import annotations

import re
from typing import Final

__all__ = ["declares_body", "is_framed", "merge_content_lengths"]

_VALUE: Final = rb"[ \t]*:((?:[^\r\n]|\r?\n[ \t])*)"
"""What follows a header's name; it may be folded over several lines."""
_LENGTH: Final = re.compile(rb"\ncontent-length" + _VALUE + rb"\r?", re.IGNORECASE)
_CODINGS: Final = re.compile(rb"\ntransfer-encoding" + _VALUE, re.IGNORECASE)
_ANNOUNCED: Final = re.compile(
    rb"\n(?:content-length[ \t]*:\s*0*[1-9]|transfer-encoding[ \t]*:)", re.IGNORECASE
)
_FOLDED: Final = re.compile(rb"\n[ \t]")


def is_framed(head: bytes) -> bool:
    """Whether the end of the body can be told from the bytes before it.

    Otherwise it ends with the connection.
    """
    codings = _codings(head)
    if codings:
        return codings[-1] == b"chunked"
    return _LENGTH.search(head) is not None


def declares_body(head: bytes) -> bool:
    """Whether the head announces a body of at least a byte.

    With a status that has none (204), such a body may still be on its way.
    """
    return _ANNOUNCED.search(head) is not None


def merge_content_lengths(head: bytes) -> bytes | None:
    """The head with the length of its body told once, where it is told more than once.

    None: it is not, or what is told differs. Lengths that repeat each other are one (RFC 9110,
    section 8.6), and chunks override any length.
    """
    if _FOLDED.search(head):
        return None
    codings = _codings(head)
    told = [part.strip() for value in _LENGTH.findall(head) for part in value.split(b",")]
    if codings and codings[-1] == b"chunked":
        kept = b""
    elif not codings and len(set(told)) == 1 and told[0].isdigit():
        kept = b"Content-Length: %b\r\n" % told[0]
    else:
        return None
    first, line_break, rest = _LENGTH.sub(b"", head).partition(b"\n")
    mended = b"%b%b%b%b" % (first, line_break, kept, rest)
    return None if _LENGTH.findall(mended) == _LENGTH.findall(head) else mended


def _codings(head: bytes) -> list[bytes]:
    values = b",".join(_CODINGS.findall(head)).lower()
    return [coding for coding in map(bytes.strip, values.split(b",")) if coding]

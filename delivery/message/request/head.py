"""Parsing and shortening of heads: the first line and the headers of a request or response."""

from __future__ import annotations

import re
from typing import Final

from delivery.models import Redirect

__all__ = ["cut_head", "find_header", "last_head", "message_headers", "redirects_in"]

_NEXT_FIELD: Final = re.compile(rb"\n(?![ \t])")
"""End of a field. Lines that begin with a space or tab continue the previous line."""
_LONGEST_NOTE: Final = 80
_STATUS_LINE: Final = re.compile(rb"[^ \r\n]+ +([0-9]{3})")


def cut_head(heads: bytes, limit: int) -> bytes:
    """Return heads in at most `limit` bytes, with a note of the omitted headers in each.

    Fields that do not fit are omitted as a whole, and a long first line is cut off. The Location of
    a redirect takes precedence over other fields. If nothing is omitted, the result is the same
    object.

    Args:
        heads: One head, or several that are separated by empty lines.
        limit: Maximum size in bytes; at least 1,024.
    """
    if len(heads) <= limit:
        return heads
    each = heads.split(b"\r\n\r\n")
    stored: list[bytes] = []
    room = limit - 4 * (len(each) - 1)
    # The last head is the response; the redirects before it share the remaining bytes.
    for left, head in zip(range(len(each), 0, -1), reversed(each), strict=True):
        stored.append(_cut(head, room // left))
        room -= len(stored[-1])
    return b"\r\n\r\n".join(reversed(stored))


def _cut(head: bytes, limit: int) -> bytes:
    if len(head) <= limit:
        return head
    room = limit - _LONGEST_NOTE
    first, *fields = _NEXT_FIELD.split(head)
    stored = [first[:room]]
    room -= len(stored[0])
    stored_fields: dict[int, bytes] = {}
    order = sorted(range(len(fields)), key=lambda index: not _is_location(fields[index]))
    for index in order:
        size = len(fields[index]) + 1
        if size <= room:
            stored_fields[index] = fields[index]
            room -= size
    stored += [stored_fields[index] for index in sorted(stored_fields)]
    stored_head = b"\n".join(stored).removesuffix(b"\r")
    note = f"({len(head) - len(stored_head):,} more bytes of this head were not stored)"
    return stored_head + b"\r\n" + note.encode()


def _is_location(field: bytes) -> bool:
    return field[:9].lower() == b"location:"


def message_headers(head: bytes) -> tuple[tuple[str, str], ...]:
    """Return the headers of a head in order, for display, decoded as Latin-1.

    Continuation lines are joined to the previous line. A line without a colon becomes a name
    with an empty value.
    """
    headers: list[tuple[str, str]] = []
    for field in _NEXT_FIELD.split(head)[1:]:
        text = field.decode("latin-1").rstrip("\r")
        if not text:
            continue
        name, _, value = text.partition(":")
        if "\n" in text:
            value = " ".join(filter(None, map(str.strip, value.split("\n"))))
        headers.append((name.strip(), value.strip(" \t")))
    return tuple(headers)


def find_header(head: bytes, name: bytes) -> bytes | None:
    """Return the value of the first header with this name, ignoring case; None without one."""
    mark = b"\n%b:" % name.lower()
    start = head.lower().find(mark)
    if start < 0:
        return None
    start += len(mark)
    end = head.find(b"\n", start)
    return head[start : len(head) if end < 0 else end].strip(b" \t\r")


def last_head(heads: bytes) -> bytes:
    """Return the last head stored for an exchange; empty if no response arrived.

    The heads of redirects precede it, each followed by an empty line, as in `curl -iL`.
    """
    return heads.rpartition(b"\r\n\r\n")[2]


def redirects_in(heads: bytes) -> tuple[Redirect, ...]:
    """Return the redirects among the heads stored for an exchange."""
    found = []
    for head in heads.split(b"\r\n\r\n")[:-1]:
        status = _STATUS_LINE.match(head)
        location = find_header(head, b"location")
        if status is not None and location is not None:
            found.append(Redirect(int(status[1]), location.decode("utf-8", "replace")))
    return tuple(found)

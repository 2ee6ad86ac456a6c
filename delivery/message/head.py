"""Reading the head of a request or response as sent or received: first line, then headers."""

from __future__ import annotations

import re
from typing import Final

from delivery.models import Redirect

__all__ = ["find_header", "last_head", "message_headers", "redirects_in"]

_STATUS_LINE: Final = re.compile(rb"[^ \r\n]+ +([0-9]{3})")


def message_headers(head: bytes) -> tuple[tuple[str, str], ...]:
    """The headers of a head, in order, for showing; each byte of them one character (latin-1).

    A line that continues the one before is joined to it; a line without a colon is shown as a name
    without a value.
    """
    headers: list[tuple[str, str]] = []
    for line in head.decode("latin-1").split("\n")[1:]:
        text = line.rstrip("\r")
        if not text:
            continue
        if text[0] in " \t" and headers:
            name, value = headers[-1]
            headers[-1] = (name, f"{value} {text.strip()}".strip())
            continue
        name, _, value = text.partition(":")
        headers.append((name.strip(), value.strip(" \t")))
    return tuple(headers)


def find_header(head: bytes, name: bytes) -> bytes | None:
    """The value of the first header with this name, in any case of letters; or None."""
    mark = b"\n%b:" % name.lower()
    start = head.lower().find(mark)
    if start < 0:
        return None
    start += len(mark)
    end = head.find(b"\n", start)
    return head[start : len(head) if end < 0 else end].strip(b" \t\r")


def last_head(heads: bytes) -> bytes:
    """The last of the heads that are stored of an exchange; empty if its answer never came.

    Those before it are of redirects, each with an empty line behind it, as `curl -iL` shows them.
    """
    return heads.rpartition(b"\r\n\r\n")[2]


def redirects_in(heads: bytes) -> tuple[Redirect, ...]:
    """The redirects among the heads that are stored of an exchange."""
    found = []
    for head in heads.split(b"\r\n\r\n")[:-1]:
        status = _STATUS_LINE.match(head)
        location = find_header(head, b"location")
        if status is not None and location is not None:
            found.append(Redirect(int(status[1]), location.decode("utf-8", "replace")))
    return tuple(found)

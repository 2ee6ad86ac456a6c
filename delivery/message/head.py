"""Reading the head of a request or response as sent or received: first line, then headers."""

from __future__ import annotations

__all__ = ["find_header", "message_headers"]


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

"""Bodies as they may be stored: values under names that look like secrets become `***`.

JSON is not parsed and written anew: only the bytes of such values change, and all others stay as
they are. A text that is cut off, or is not quite JSON, is treated the same way as far as it goes.
"""

from __future__ import annotations

import json
import re
from typing import Final

from delivery.message.redact import REDACTED, is_secret_key, redact_query, tells_secret_names

__all__ = ["has_secret_names", "redact_body", "redact_form"]

_STRING: Final = re.compile(rb'"((?:[^"\\]|\\.)*+)("?)', re.DOTALL)
"""A string, or an unclosed one up to the end."""

_COLON: Final = re.compile(rb"[ \t\r\n]*:[ \t\r\n]*")
_SCALAR: Final = re.compile(rb"[^,\]}\s\"]+")
_STRING_OR_BRACKET: Final = re.compile(rb'"(?:[^"\\]|\\.)*+"?|[\[\]{}]', re.DOTALL)
_NOTHING: Final = re.compile(rb'null|""|\{[ \t\r\n]*\}|\[[ \t\r\n]*\]')
_MARK: Final = f'"{REDACTED}"'.encode()
_LONGEST_NAME: Final = 256


def has_secret_names(data: bytes) -> bool:
    """Whether a JSON text has a value under a name that looks like a secret."""
    return tells_secret_names(data) and bool(_spans(data, only_first=True))


def redact_body(data: bytes) -> bytes:
    """The body with `***` for what must not be stored; without any, the same object.

    A form is known by what it looks like: names and values joined by `=` and `&`.
    """
    # A short answer such as `ok` has no names.
    if (b'"' not in data and b"=" not in data) or not tells_secret_names(data):
        return data
    spans = _spans(data)
    if not spans:
        return redact_form(data) if _looks_like_form(data) else data
    parts: list[bytes] = []
    done = 0
    for start, end in spans:
        parts += (data[done:start], _MARK)
        done = end
    parts.append(data[done:])
    return b"".join(parts)


def redact_form(data: bytes) -> bytes:
    """A form's body with `***` for the values that must not be stored."""
    return redact_query(f"?{data.decode('latin-1')}")[1:].encode("latin-1")


def _looks_like_form(data: bytes) -> bool:
    return b"=" in data[:1_000] and not any(mark in data[:1_000] for mark in b'<>{}"\r\n ')


def _spans(data: bytes, *, only_first: bool = False) -> list[tuple[int, int]]:
    """From where to where the values are that must not be stored."""
    found: list[tuple[int, int]] = []
    position = 0
    while True:
        string = _STRING.search(data, position)
        if string is None:
            return found
        position = string.end()
        colon = _COLON.match(data, position)
        if colon is None or not is_secret_key(_name(string[1])):
            continue
        end = _end_of_value(data, colon.end())
        if _NOTHING.fullmatch(data, colon.end(), end):
            continue
        found.append((colon.end(), end))
        if only_first:
            return found
        position = end


def _name(written: bytes) -> str:
    if len(written) > _LONGEST_NAME:
        return ""
    if b"\\" in written:
        try:
            return str(json.loads(b'"%b"' % written))
        except ValueError:
            # No JSON string; what can be read of it tells enough.
            return written.decode("utf-8", "replace")
    return written.decode("utf-8", "replace")


def _end_of_value(data: bytes, start: int) -> int:
    first = data[start : start + 1]
    if first == b'"':
        string = _STRING.match(data, start)
        return string.end() if string else len(data)
    if first in {b"{", b"["}:
        return _end_of_nested(data, start)
    scalar = _SCALAR.match(data, start)
    return scalar.end() if scalar else start


def _end_of_nested(data: bytes, start: int) -> int:
    depth = 0
    for token in _STRING_OR_BRACKET.finditer(data, start):
        mark = token[0]
        if mark in {b"{", b"["}:
            depth += 1
        elif mark in {b"}", b"]"}:
            depth -= 1
            if depth == 0:
                return token.end()
    return len(data)

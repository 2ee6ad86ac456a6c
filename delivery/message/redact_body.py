"""Bodies as they may be stored: values under names that look like secrets become `***`.

JSON is not parsed and written anew: only the bytes of such values change, and all others stay as
they are. A text that is cut off, or is not quite JSON, is treated the same way as far as it goes;
so is JSON in a string of JSON.
"""

from __future__ import annotations

import json
import re
from typing import Final

from delivery.message.redact import REDACTED, is_secret_key, redact_query, tells_secret_names

__all__ = ["redact_body"]

_MEMBER: Final = re.compile(
    # A name. Any quote may be the one before it: a stray one must not turn strings inside out.
    rb'(?<=")((?:[^"\\\r\n]|\\++[^"\\\r\n])*+)'
    # The quote behind it, with the backslashes that it has in JSON within a string of JSON.
    rb'(\\*)"[ \t\r\n]*:[ \t\r\n]*'
)
_STRING: Final = re.compile(rb'"(?:[^"\\]|\\.)*+"?', re.DOTALL)
"""A string, or an unclosed one up to the end."""
_ESCAPED_SCALAR: Final = re.compile(rb"-?[0-9][0-9.eE+-]*|true|false")
_SCALAR: Final = re.compile(rb"[^,\]}\s\"]+")
_STRING_OR_BRACKET: Final = re.compile(rb'"(?:[^"\\]|\\.)*+"?|[\[\]{}]', re.DOTALL)
_NOTHING: Final = re.compile(rb'null|(\\*)"\1"|\{[ \t\r\n]*\}|\[[ \t\r\n]*\]')
_MARK: Final = REDACTED.encode()
_LONGEST_NAME: Final = 256


def redact_body(data: bytes) -> bytes:
    """The body with `***` for what must not be stored; without any, the same object.

    A form is known by what it looks like: names and values joined by `=` and `&`.
    """
    # A short answer such as `ok` has no names.
    if (b'"' not in data and b"=" not in data) or not tells_secret_names(data):
        return data
    spans = _spans(data)
    if not spans:
        return _redact_form(data) if _looks_like_form(data) else data
    parts: list[bytes] = []
    done = 0
    for start, end, escape in spans:
        parts += (data[done:start], b'%b"%b%b"' % (escape, _MARK, escape))
        done = end
    parts.append(data[done:])
    return b"".join(parts)


def _redact_form(data: bytes) -> bytes:
    return redact_query(f"?{data.decode('latin-1')}")[1:].encode("latin-1")


def _looks_like_form(data: bytes) -> bool:
    return b"=" in data[:1_000] and not any(mark in data[:1_000] for mark in b'<>{}"\r\n ')


def _spans(data: bytes) -> list[tuple[int, int, bytes]]:
    """From where to where the values are that must not be stored; and what escapes their quotes."""
    found: list[tuple[int, int, bytes]] = []
    position = 0
    while True:
        member = _MEMBER.search(data, position)
        if member is None:
            return found
        position = start = member.end()
        written, escape = member.groups()
        if len(written) > _LONGEST_NAME or not is_secret_key(_name(written)):
            continue
        end = _end_of_value(data, start, escape)
        if end > start and not _NOTHING.fullmatch(data, start, end):
            found.append((start, end, escape))
            position = end


def _name(written: bytes) -> str:
    if b"\\" in written:
        try:
            return str(json.loads(b'"%b"' % written))
        except ValueError:
            # No JSON string; what can be read of it tells enough.
            return written.decode("utf-8", "replace")
    return written.decode("utf-8", "replace")


def _end_of_value(data: bytes, start: int, escape: bytes) -> int:
    if escape:
        return _end_of_escaped(data, start, escape)
    first = data[start : start + 1]
    if first == b'"':
        string = _STRING.match(data, start)
        return string.end() if string else len(data)
    if first in {b"{", b"["}:
        return _end_of_nested(data, start)
    scalar = _SCALAR.match(data, start)
    return scalar.end() if scalar else start


def _end_of_escaped(data: bytes, start: int, escape: bytes) -> int:
    """The same for JSON in a string, whose quotes have backslashes before them."""
    quote = escape + b'"'
    if data.startswith(quote, start):
        end = start
        while True:
            end = data.find(quote, end + len(quote))
            if end < 0:
                return len(data)
            # With more backslashes it is a quote within the value.
            if data[end - 1 : end] != b"\\":
                return end + len(quote)
    if data[start : start + 1] in {b"{", b"["}:
        return _end_of_nested(data, start)
    scalar = _ESCAPED_SCALAR.match(data, start)
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

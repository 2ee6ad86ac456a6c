"""Redaction of bodies: values under secret names become `***`.

JSON is not parsed and encoded again: only the bytes of redacted values change. Redaction also works
for JSON that is cut off or slightly invalid, for JSON in a string of JSON, and for forms and URLs
in any text.
"""

from __future__ import annotations

import json
import re
from functools import lru_cache
from typing import Final

from delivery.message.redaction.by_name import (
    REDACTED,
    is_certain,
    is_secret_key,
    may_have_secret_names,
    redact_pairs_in,
    redact_query,
)
from delivery.message.redaction.plain_values import is_plain

__all__ = ["redact_body", "redact_text"]

_MEMBER: Final = re.compile(
    # A name. Any quote can precede it: a stray quote must not swap strings and gaps.
    rb'(?<=")((?:[^"\\\r\n]|\\++[^"\\\r\n])*+)'
    # The closing quote, with backslashes if the JSON is in a string of JSON.
    rb'(\\*)"[ \t\r\n]*:[ \t\r\n]*'
)
_STRING: Final = re.compile(rb'"(?:[^"\\]|\\.)*+"?', re.DOTALL)
"""A string, or an unclosed string up to the end."""
_ESCAPED_SCALAR: Final = re.compile(rb"-?[0-9][0-9.eE+-]*|true|false")
_SCALAR: Final = re.compile(rb"[^,\]}\s\"]+")
_STRING_OR_BRACKET: Final = re.compile(rb'"(?:[^"\\]|\\.)*+"?|[\[\]{}]', re.DOTALL)
_NOTHING: Final = re.compile(rb'null|(\\*)"\1"|\{[ \t\r\n]*\}|\[[ \t\r\n]*\]')
_NUMBER: Final = re.compile(rb"-?[0-9][0-9.eE+-]*")
_ESCAPED_NAME: Final = re.compile(rb'\\+"[^"\\]*\\+"[ \t\r\n]*:')
_COLON: Final = re.compile(rb"[ \t\r\n]*:")
_MARK: Final = REDACTED.encode()
_LONGEST_NAME: Final = 256
_LONGEST_ESCAPE: Final = 63
"""Maximum number of backslashes before a quote: six levels of JSON within JSON."""


def redact_body(data: bytes) -> bytes:
    """Redact a body; return the same object if nothing is secret.

    A body is treated as a form if it looks like names and values joined by `=` and `&`.
    """
    # A short response such as `ok` has no names.
    if not (b'"' in data or b"=" in data or b"%" in data) or not may_have_secret_names(data):
        return data
    spans = _spans(data)
    if not spans and _looks_like_form(data):
        form = _redact_form(data)
        return data if form == data else form
    parts: list[bytes] = []
    done = 0
    for start, end, escape in spans:
        parts += (data[done:start], b'%b"%b%b"' % (escape, _MARK, escape))
        done = end
    return redact_pairs_in(b"".join([*parts, data[done:]]) if parts else data)


def redact_text(text: str) -> str:
    """Redact a string, such as a JSON value or the value of a header, like a body."""
    if '"' not in text and "=" not in text and "%" not in text:
        return text
    data = text.encode("utf-8", "surrogatepass")
    redacted = redact_body(data)
    return text if redacted is data else redacted.decode("utf-8", "surrogatepass")


def _redact_form(data: bytes) -> bytes:
    return redact_query(f"?{data.decode('latin-1')}")[1:].encode("latin-1")


def _looks_like_form(data: bytes) -> bool:
    return b"=" in data[:1_000] and not any(mark in data[:1_000] for mark in b'<>{}"\r\n ')


def _spans(data: bytes) -> list[tuple[int, int, bytes]]:
    """Return the spans of secret values, with the backslashes before their quotes."""
    found: list[tuple[int, int, bytes]] = []
    position = textless = 0
    while True:
        member = _MEMBER.search(data, position)
        if member is None:
            return found
        position = start = member.end()
        written, escape = member.groups()
        if len(written) > _LONGEST_NAME:
            continue
        name = _name(written)
        if not is_secret_key(name):
            continue
        is_nested = data[start : start + 1] in {b"{", b"["}
        if is_nested and start < textless and not is_certain(name):
            # It is inside a value without strings, which was read already.
            continue
        end = _end_of_value(data, start, escape)
        if end > start and _is_secret(name, data, start, end, escape):
            found.append((start, end, escape))
            position = end
        elif is_nested:
            textless = max(textless, end)


def _is_secret(name: str, data: bytes, start: int, end: int, escape: bytes) -> bool:
    """Return True if the value from `start` to `end` is secret under a secret name."""
    if _NOTHING.fullmatch(data, start, end):
        return False
    certain = is_certain(name)
    first = data[start : start + 1]
    if first in {b"{", b"["}:
        return certain or end == len(data) or _has_text(data, start, end, escape)
    quote = escape + b'"'
    if data.startswith(quote, start):
        inner = data[start + len(quote) : end - len(quote)]
        is_whole = end - start >= 2 * len(quote) and data.endswith(quote, start, end)
        return certain or not is_whole or not is_plain(inner.decode("latin-1"))
    scalar = data[start:end]
    if scalar in {b"true", b"false"}:
        return False
    return certain or not _NUMBER.fullmatch(scalar)


def _has_text(data: bytes, start: int, end: int, escape: bytes) -> bool:
    """Return True if an object or list contains a string that is not a name and not plain."""
    if escape:
        return b'"' in _ESCAPED_NAME.sub(b"", data[start:end])
    for string in _STRING.finditer(data, start, end):
        if not _COLON.match(data, string.end(), end):
            inner = string[0][1:].removesuffix(b'"')
            if not is_plain(inner.decode("latin-1")):
                return True
    return False


def _name(written: bytes) -> str:
    if b"\\" in written:
        try:
            return str(json.loads(b'"%b"' % written))
        except ValueError:
            # For an invalid JSON string, the raw text is precise enough.
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
    """Return the end of a value of JSON in a string, whose quotes follow backslashes."""
    quote = escape + b'"'
    if data.startswith(quote, start):
        end = start
        while True:
            end = data.find(quote, end + len(quote))
            if end < 0:
                return len(data)
            # After more backslashes, the quote is a part of the value.
            if data[end - 1 : end] != b"\\":
                return end + len(quote)
    if data[start : start + 1] in {b"{", b"["}:
        return _end_of_nested(data, start, escape)
    scalar = _ESCAPED_SCALAR.match(data, start)
    return scalar.end() if scalar else start


def _end_of_nested(data: bytes, start: int, escape: bytes = b"") -> int:
    if len(escape) > _LONGEST_ESCAPE:
        return len(data)
    depth = 0
    for token in _tokens(escape).finditer(data, start):
        mark = token[0]
        if mark in {b"{", b"["}:
            depth += 1
        elif mark in {b"}", b"]"}:
            depth -= 1
            if depth == 0:
                return token.end()
        elif mark == b'"':
            # The end of the string that contains the value.
            return token.start()
    return len(data)


@lru_cache(maxsize=_LONGEST_ESCAPE + 1)
def _tokens(escape: bytes) -> re.Pattern[bytes]:
    """Return a regex for strings and brackets of JSON with these backslashes before quotes."""
    if not escape:
        return _STRING_OR_BRACKET
    quote = rb"(?<!\\)" + re.escape(escape) + b'"'
    return re.compile(quote + rb".*?(?:" + quote + rb'|\Z)|[\[\]{}]|(?<!\\)"', re.DOTALL)

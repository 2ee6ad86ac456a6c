r"""Redaction of `name=value` in any text: in URLs, in forms, and in URLs within them.

The name of a pair follows a separator. The signs can be percent-encoded several times, or escaped
as in JSON (`\u0026`). Only the redacted bytes change; nothing is decoded and encoded again.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote_plus

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["redact_pairs"]

_MARK: Final = b"***"
_LONGEST_NAME: Final = 256
_DEEPEST: Final = 4
"""Maximum number of times a name is percent-encoded."""

_EQUALS: Final = re.compile(
    # The sign of a pair, or the colon after a name in percent-encoded JSON.
    rb"(=)|%((?:25)*)3[dD]|(\\u003[dD])|%((?:25)*)22(?:%(?:25)*20)*%(?:25)*3[aA]"
)
_BEFORE_NAME: Final = re.compile(
    rb"[?&#\"'\r\n]|;[ ]?|\\(?:u00(?:26|3[fFbB]|2[237])|[\"nrt])"
    rb"|%(?:25)*(?:3[fFbB]|2[2367]|7[bB]|2[cC])"
)
_NAME: Final = re.compile(rb"[^\s<>(){}/:,=]*")
_END: Final = rb"[&;#\"\s<>]|\\(?:[\"nrt]|u00(?:26|2[23]|3[bBcCeE]))"
_ENDS: Final = tuple(
    re.compile(_END + (rb"|%%(?:25){0,%d}(?:26|2[023]|3[bBcCeE]|0[aAdD])" % depth))
    for depth in range(_DEEPEST + 1)
)
_END_OF_TEXT: Final = re.compile(_END)


def redact_pairs(data: bytes, is_secret: Callable[[str, str], bool]) -> bytes:
    """Replace the values of secret pairs by `***`; return the same object if there are none.

    Args:
        data: Any text.
        is_secret: Function that decides by the decoded name and value if the value is secret.
    """
    parts: list[bytes] = []
    done = after = 0
    while (equals := _EQUALS.search(data, after)) is not None:
        name = _name_before(data, after, equals.start())
        after = equals.end()
        if name is None:
            continue
        end = _end_of_value(data, equals)
        value = _decoded(data[after:end])
        if end > after and is_secret(name, value):
            parts += (data[done:after], _MARK)
            done = after = end
    return b"".join([*parts, data[done:]]) if parts else data


def _name_before(data: bytes, start: int, end: int) -> str | None:
    start = max(start, end - _LONGEST_NAME)
    written = _BEFORE_NAME.split(data[start:end])
    if (len(written) == 1 and start > 0) or not _NAME.fullmatch(written[-1]):
        return None
    return _decoded(written[-1])


def _end_of_value(data: bytes, equals: re.Match[bytes]) -> int:
    ends = _END_OF_TEXT
    if equals[2] is not None:
        ends = _ENDS[min(len(equals[2]) // 2, _DEEPEST)]
    end = ends.search(data, equals.end())
    return len(data) if end is None else end.start()


def _decoded(written: bytes) -> str:
    text = written.decode("utf-8", "replace")
    for _ in range(_DEEPEST):
        if "%" not in text:
            break
        text = unquote_plus(text)
    return text

r"""Unescaping of text in layers, with the position of each part in the original text.

The language of a receiver decides how a repeated secret is escaped: `\/` in PHP, `\u0026` in Go and
Rails, `\u002B` in .NET, `%2f`, `&#x2F;`, or nested combinations. Instead of searching for all these
forms, `Unescaped` removes the escapes layer by layer and searches each layer.

Each layer is read once and the number of layers is limited, so the time is linear in the size of
the text.
"""

from __future__ import annotations

import html
import re
from bisect import bisect_right
from itertools import accumulate
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["EscapedTextSearch", "Unescaped", "has_escapes", "replace_spans", "unescaped_forms"]

Span = tuple[int, int]

_COMPLEX: Final = (b"%", b"&#", *(b"\\" + bytes([each]) for each in b"uUx01234567"))
"""Strings of which each escape has one, except HTML names and a backslash before a character."""
_CONTROL: Final = re.compile(rb"[\x00-\x1f\x7f]")
_DEEPEST: Final = 5
"""Maximum number of layers."""
_SHORTEST: Final = 6
"""Minimum length of a secret, or of its beginning at the end of a text."""
_LONGEST_PARTIAL: Final = 48


def _bytes_of_utf8(sign: str, leads: tuple[str, str, str], following: str, other: str) -> str:
    """Return a regex for the escaped bytes of one UTF-8 character, or for one escaped byte."""
    two, three, four = leads
    after = sign + following
    return (
        f"{sign}{two}{after}|{sign}{three}{after}{after}|{sign}{four}{after}{after}{after}"
        f"|{sign}{other}"
    )


_HEX: Final = "[0-9a-fA-F]"
_LEADS: Final = (f"[cCdD]{_HEX}", f"[eE]{_HEX}", "[fF][0-7]")
_AFTER: Final = f"[89abAB]{_HEX}"
_PERCENT: Final = _bytes_of_utf8("%", _LEADS, _AFTER, f"{_HEX}{{2}}")
_X: Final = _bytes_of_utf8(r"\\x", _LEADS, _AFTER, f"{_HEX}{{2}}")
_OCTAL: Final = _bytes_of_utf8(
    r"\\", ("3[0-3][0-7]", "3[45][0-7]", "36[0-7]"), "2[0-7]{2}", "[0-3]?[0-7]{1,2}"
)
_TOKEN: Final = re.compile(
    (
        rf"(\\u[dD][89abAB]{_HEX}{{2}}\\u[dD][c-fC-F]{_HEX}{{2}}|\\u+{_HEX}{{4}}"
        rf"|\\[ux]\{{{_HEX}{{1,8}}\}}|\\U{_HEX}{{8}}|{_X}|{_OCTAL}|\\[abfnrtv!-/:-@[-`{{-~ ]"
        rf"|%u[dD][89abAB]{_HEX}{{2}}%u[dD][c-fC-F]{_HEX}{{2}}|%u{_HEX}{{4}}|{_PERCENT}"
        rf"|&\#0{{0,16}}[0-9]{{1,7}};?|&\#[xX]0{{0,16}}{_HEX}{{1,6}};?"
        r"|&[A-Za-z][A-Za-z0-9]{1,31};)"
    ).encode()
)
"""One escaped character of JSON, JavaScript, PHP, Perl, Java, C#, a URL or HTML."""
_PARTIAL: Final = re.compile(
    (
        rf"(?:(?:\\x[89a-fA-F]{_HEX}|%[89a-fA-F]{_HEX}|\\[23][0-7]{{2}}){{0,3}}"
        rf"(?:\\(?:u[dD][89abAB]{_HEX}{{2}}\\?u?{_HEX}{{0,3}}|u+\{{?{_HEX}{{0,6}}"
        rf"|U{_HEX}{{0,7}}|x(?:\{{{_HEX}{{0,8}}|{_HEX})?|[0-7]{{1,2}})?"
        rf"|%(?:u[dD][89abAB]{_HEX}{{2}}%?u?{_HEX}{{0,3}}|u{_HEX}{{0,3}}|{_HEX})?"
        rf"|&\#?[0-9A-Za-z]{{0,31}})?)\Z"
    ).encode()
)
"""An escape at the end of a text that is cut off or may continue."""
_DIGITS: Final = re.compile(rb"[0-9a-fA-F]+")
_UNITS: Final = re.compile(rb"[0-9a-fA-F]{4}(?=[\\%]u|\Z)")
_LETTERS: Final = {
    b"a": b"\a",
    b"b": b"\b",
    b"f": b"\f",
    b"n": b"\n",
    b"r": b"\r",
    b"t": b"\t",
    b"v": b"\v",
}


def has_escapes(data: bytes) -> bool:
    """Return True if the data may contain an escape; a fast first test."""
    return b"\\" in data or b"%" in data or (b"&" in data and (b";" in data or b"&#" in data))


def unescaped_forms(text: bytes) -> list[bytes]:
    """Return a text and its unescaped forms.

    A secret can contain a sequence that looks like an escape. It can also end with the start of
    one, which is unescaped together with the following bytes. The last forms have no such end.
    """
    forms = [_normal(text), *Unescaped(text).layers]
    return [*forms, *(each.rstrip(b"\\%&") for each in forms)]


def replace_spans(data: bytes, spans: Iterable[Span], mark: bytes) -> bytes:
    """Replace each span of the data by a mark; one mark for adjacent spans."""
    parts: list[bytes] = []
    done = 0
    for start, end in sorted(spans):
        if start > done or not parts:
            parts += (data[done:start], mark)
        done = max(done, end)
    return b"".join([*parts, data[done:]])


class EscapedTextSearch:
    """Search for secrets in texts with escapes.

    Args:
        secrets: Secrets without added escapes.
    """

    __slots__ = ("_bare", "forms")

    def __init__(self, secrets: Iterable[bytes]) -> None:
        forms = {form for secret in secrets for form in unescaped_forms(secret)}
        self.forms = tuple(form for form in forms if len(form) >= _SHORTEST)
        # A backslash with a character is unescaped to the character or to a control character.
        has_controls = any(map(_CONTROL.search, self.forms))
        bare = {form.replace(b"\\", b"") for form in self.forms}
        self._bare = None if has_controls else tuple(bare)

    def find(self, data: bytes) -> list[Span]:
        """Return the spans of escaped secrets in the data."""
        if not has_escapes(data) or (self._bare is not None and not self._may_find(data)):
            return []
        return Unescaped(data).find(self.forms)

    def _may_find(self, data: bytes) -> bool:
        """Return True if unescaping may find a secret; most escapes are only quotes in JSON."""
        if (b"&" in data and b";" in data) or any(sign in data for sign in _COMPLEX):
            return True
        bare = _normal(data.replace(b"\\", b""))
        return any(form in bare for form in self._bare or ())


class Unescaped:
    """Text that is unescaped until it has no more escapes.

    Args:
        data: Original text.
        is_cut: True if the text may end within an escape, which is then omitted.
    """

    __slots__ = ("_data", "_plain", "_steps", "layers")

    def __init__(self, data: bytes, *, is_cut: bool = False) -> None:
        self._data = data = _whole_part(data) if is_cut else data
        self._steps: list[_Step] = []
        layers: list[bytes] = []
        for _ in range(_DEEPEST):
            pieces: list[bytes] = _TOKEN.split(data)
            if len(pieces) == 1:
                break
            undone = pieces.copy()
            undone[1::2] = map(_UNDONE.__getitem__, pieces[1::2])
            data = b"".join(undone)
            if is_cut:
                data = _whole_part(data)
            self._steps.append(_Step(pieces, undone))
            layers.append(data)
        self._plain = tuple(layers)
        self.layers: tuple[bytes, ...] = tuple(map(_normal, layers))
        """Searched text after the removal of each layer of escapes. Each `+` becomes a space, which
        it can be in a URL; patterns are changed in the same way."""

    def find(self, patterns: Sequence[bytes], *, plain: bool = False) -> list[Span]:
        """Return the spans of escaped patterns in the original text.

        Args:
            patterns: Byte strings to find.
            plain: True if the text and the patterns have their original `+`.
        """
        found: list[Span] = []
        for depth, layer in enumerate(self._plain if plain else self.layers):
            for pattern in patterns:
                start = layer.find(pattern)
                while start >= 0:
                    end = start + len(pattern)
                    found.append((self._place(depth, start), self._place(depth, end, is_end=True)))
                    start = layer.find(pattern, end)
        return found

    def find_start_at_end(self, patterns: Sequence[bytes]) -> int | None:
        """Return the position at which the beginning of a pattern ends the original text.

        Returns None if the text does not end with such a beginning.
        """
        found = (
            self._place(depth, start)
            for depth, layer in enumerate((self._data, *self.layers), start=-1)
            for pattern in patterns
            if (start := _start_at_end(layer, pattern)) is not None
        )
        return min(found, default=None)

    def _place(self, depth: int, place: int, *, is_end: bool = False) -> int:
        """Return the original position of a position in a layer; layer -1 is the original text."""
        for step in reversed(self._steps[: depth + 1]):
            place = step.place_before(place, is_end=is_end)
        return place


class _Step:
    """Step from a layer to the next, as a list of pieces; every second piece is an escape."""

    __slots__ = ("_after", "_before", "_ends_after", "_ends_before")

    def __init__(self, before: list[bytes], after: list[bytes]) -> None:
        self._before = before
        self._after = after
        self._ends_before: list[int] = []
        self._ends_after: list[int] = []

    def place_before(self, place: int, *, is_end: bool) -> int:
        if not self._ends_after:
            self._ends_before = list(accumulate(map(len, self._before)))
            self._ends_after = list(accumulate(map(len, self._after)))
        # The end of a span belongs to the preceding byte.
        index = min(bisect_right(self._ends_after, place - is_end), len(self._after) - 1)
        end = self._ends_before[index]
        if index % 2:
            return end if is_end else end - len(self._before[index])
        return end - (self._ends_after[index] - place)


def _whole_part(text: bytes) -> bytes:
    partial = _PARTIAL.search(text, max(0, len(text) - _LONGEST_PARTIAL))
    return text if partial is None else text[: partial.start()]


def _start_at_end(text: bytes, pattern: bytes) -> int | None:
    beginning = pattern[:_SHORTEST]
    start = text.find(beginning, max(0, len(text) - len(pattern)))
    while start >= 0:
        if pattern.startswith(text[start:]):
            return start
        start = text.find(beginning, start + 1)
    return None


def _normal(text: bytes) -> bytes:
    return text.replace(b"+", b" ")


class _Undone(dict[bytes, bytes]):
    """Cache of the bytes of escapes, because the same escapes occur again and again."""

    __slots__ = ()
    _MOST: Final = 20_000

    def __missing__(self, token: bytes) -> bytes:
        if len(self) >= self._MOST:
            self.clear()
        self[token] = undone = _undo(token)
        return undone


def _undo(token: bytes) -> bytes:
    """Return the bytes of one escape."""
    kind, digits = token[1:2], token[2:]
    if token.startswith(b"&#"):
        number = digits.rstrip(b";").lower()
        undone = _code_point(int(number[1:], 16) if number[:1] == b"x" else int(number))
    elif token.startswith(b"&"):
        undone = html.unescape(token.decode()).encode("utf-8", "surrogatepass")
    elif kind in {b"u", b"U"} or digits.startswith(b"{"):
        undone = _character(digits)
    elif kind == b"x" or token.startswith(b"%"):
        undone = _of_bytes(token, 16)
    elif kind.isdigit():
        undone = _of_bytes(token, 8)
    else:
        undone = _LETTERS.get(kind, kind)
    return undone


def _of_bytes(token: bytes, base: int) -> bytes:
    """Return the bytes of an escape that gives their numbers.

    A single byte above 127 is not UTF-8 but the code of a character, as in JavaScript and Python.
    """
    undone = bytes(int(each, base) for each in _DIGITS.findall(token))
    return undone.decode("latin-1").encode() if len(undone) == 1 else undone


def _character(digits: bytes) -> bytes:
    """Return the character of a code point, or of an escaped pair of surrogates."""
    units = _UNITS.findall(digits)
    if len(units) == 2:  # noqa: PLR2004 - a high and a low surrogate
        return bytes.fromhex(b"".join(units).decode()).decode("utf-16-be").encode()
    return _code_point(int(digits.strip(b"u{}"), 16))


def _code_point(number: int) -> bytes:
    try:
        return chr(number).encode("utf-8", "surrogatepass")
    except (OverflowError, ValueError):
        return b"\xef\xbf\xbd"


_UNDONE: Final = _Undone()

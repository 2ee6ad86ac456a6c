r"""Text with its escapes undone, and the position of each part in the original text.

A secret that a receiver repeats comes back as the receiver's language writes it: `\/` from PHP,
`\u0026` from Go and Rails, `\u002B` from .NET, `%2f`, `&#x2F;`, or several of these over each
other. So secrets are looked for in the text with its escapes undone, layer by layer, rather than in
ever more forms.

Each layer is read once, so the work is linear in the size of the text, and the layers are few.
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
"""Each escape has one of these, except HTML names and a backslash before a character."""
_CONTROL: Final = re.compile(rb"[\x00-\x1f\x7f]")
_DEEPEST: Final = 5
"""Escapes over escapes that are undone."""
_SHORTEST: Final = 6
"""Characters by which a secret, or at the end of a text its beginning, is recognised."""
_LONGEST_PARTIAL: Final = 48


def _bytes_of_utf8(sign: str, leads: tuple[str, str, str], following: str, other: str) -> str:
    """Return a pattern for the escapes of the bytes of one character in UTF-8, or of one byte."""
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
"""One character as it is escaped in JSON, JavaScript, PHP, Perl, Java, C#, a URL or HTML."""
_PARTIAL: Final = re.compile(
    (
        rf"(?:(?:\\x[89a-fA-F]{_HEX}|%[89a-fA-F]{_HEX}|\\[23][0-7]{{2}}){{0,3}}"
        rf"(?:\\(?:u[dD][89abAB]{_HEX}{{2}}\\?u?{_HEX}{{0,3}}|u+\{{?{_HEX}{{0,6}}"
        rf"|U{_HEX}{{0,7}}|x(?:\{{{_HEX}{{0,8}}|{_HEX})?|[0-7]{{1,2}})?"
        rf"|%(?:u[dD][89abAB]{_HEX}{{2}}%?u?{_HEX}{{0,3}}|u{_HEX}{{0,3}}|{_HEX})?"
        rf"|&\#?[0-9A-Za-z]{{0,31}})?)\Z"
    ).encode()
)
"""An escape that is cut off at the end of a text, or may go on behind it."""
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
    """Whether there may be an escape in the data; a quick first test."""
    return b"\\" in data or b"%" in data or (b"&" in data and (b";" in data or b"&#" in data))


def unescaped_forms(text: bytes) -> list[bytes]:
    """Return a text, and the forms that it has when its own escapes are undone.

    A secret may contain a sequence that looks like an escape. It may also end with the beginning of
    one, and be undone together with the next bytes: the last of the forms have no such end.
    """
    forms = [_normal(text), *Unescaped(text).layers]
    return [*forms, *(each.rstrip(b"\\%&") for each in forms)]


def replace_spans(data: bytes, spans: Iterable[Span], mark: bytes) -> bytes:
    """Return the data with a mark for each span, or for several that touch each other."""
    parts: list[bytes] = []
    done = 0
    for start, end in sorted(spans):
        if start > done or not parts:
            parts += (data[done:start], mark)
        done = max(done, end)
    return b"".join([*parts, data[done:]])


class EscapedTextSearch:
    """Secrets to find in texts with their escapes undone.

    Args:
        secrets: As they are.
    """

    __slots__ = ("_bare", "forms")

    def __init__(self, secrets: Iterable[bytes]) -> None:
        forms = {form for secret in secrets for form in unescaped_forms(secret)}
        self.forms = tuple(form for form in forms if len(form) >= _SHORTEST)
        # A backslash before a character never yields a removed one, except a control character.
        has_controls = any(map(_CONTROL.search, self.forms))
        bare = {form.replace(b"\\", b"") for form in self.forms}
        self._bare = None if has_controls else tuple(bare)

    def find(self, data: bytes) -> list[Span]:
        """Return the spans of escaped patterns in the data."""
        if not has_escapes(data) or (self._bare is not None and not self._may_find(data)):
            return []
        return Unescaped(data).find(self.forms)

    def _may_find(self, data: bytes) -> bool:
        """Whether it is worth to undo the escapes; a quick test, as most are of quotes in JSON."""
        if (b"&" in data and b";" in data) or any(sign in data for sign in _COMPLEX):
            return True
        bare = _normal(data.replace(b"\\", b""))
        return any(form in bare for form in self._bare or ())


class Unescaped:
    """A text with its escapes undone, as often as there are some in it.

    Args:
        data: The text as it is.
        is_cut: Whether it may end in the middle of an escape, which is then left out.
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
        """The searched text after each layer of escapes is undone. A `+` becomes a space, as it may
        be one in a URL; patterns are changed in the same way."""

    def find(self, patterns: Sequence[bytes], *, plain: bool = False) -> list[Span]:
        """Return the spans of escaped patterns in the original text.

        Args:
            patterns: What to look for.
            plain: Whether a `+` is nothing but a `+`, also in the patterns.
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
        """Return from where on the text as it is ends with the beginning of a pattern.

        None: it does not.
        """
        found = (
            self._place(depth, start)
            for depth, layer in enumerate((self._data, *self.layers), start=-1)
            for pattern in patterns
            if (start := _start_at_end(layer, pattern)) is not None
        )
        return min(found, default=None)

    def _place(self, depth: int, place: int, *, is_end: bool = False) -> int:
        """Where a place of a layer is in the text as it is; -1 is that text itself."""
        for step in reversed(self._steps[: depth + 1]):
            place = step.place_before(place, is_end=is_end)
        return place


class _Step:
    """From one layer to the next: its pieces, every other of which is an escape."""

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
        # The end of a span belongs to the byte before it.
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
    """The decoded bytes of escapes; the same few occur again and again."""

    __slots__ = ()
    _MOST: Final = 20_000

    def __missing__(self, token: bytes) -> bytes:
        if len(self) >= self._MOST:
            self.clear()
        self[token] = undone = _undo(token)
        return undone


def _undo(token: bytes) -> bytes:
    """Return the bytes that one escape decodes to."""
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
    """Return the bytes that a token has by their numbers.

    A single one above 127 is no UTF-8, but a character by its number, as in JavaScript and Python.
    """
    undone = bytes(int(each, base) for each in _DIGITS.findall(token))
    return undone.decode("latin-1").encode() if len(undone) == 1 else undone


def _character(digits: bytes) -> bytes:
    """Return the character of a code point, or of two surrogates with an escape between them."""
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

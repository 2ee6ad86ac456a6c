"""Search for many byte strings in one pass."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["TextSearch"]

_FEW: Final = 24
"""Number of patterns up to which each has its own search, which is one fast call."""
_WIDTH: Final = 6
"""Maximum length of the prefixes in the table, limited by the shortest pattern."""
_COMPARISON: Final = 64
"""Fixed cost of a comparison, in compared bytes."""
_MOST_COMPARED: Final = 4_000_000
"""Maximum number of compared bytes, in addition to eight for each byte of the data. Only data that
consists of common prefixes of many patterns exceeds it."""


class TextSearch:
    """Replacement of byte strings (patterns) in data.

    With many patterns, one pass over the data looks up the bytes at each position in a table of
    prefixes. The time does not depend on the number of patterns. If the pass takes too long, all
    data is replaced.
    """

    __slots__ = ("_longest_first", "_table", "_width", "longest")

    def __init__(self, patterns: Iterable[bytes]) -> None:
        self._longest_first = tuple(sorted(set(patterns) - {b""}, key=len, reverse=True))
        self.longest = len(self._longest_first[0]) if self._longest_first else 0
        """Length of the longest pattern, in bytes."""
        self._width = 0
        self._table: dict[bytes, dict[int, set[bytes]]] | None = None
        """Table from prefixes to lengths, longest first, and from lengths to patterns."""

    def __bool__(self) -> bool:
        return bool(self._longest_first)

    @property
    def patterns(self) -> tuple[bytes, ...]:
        """All patterns, longest first."""
        return self._longest_first

    def plus(self, other: TextSearch) -> TextSearch:
        """Return a search for the patterns of both."""
        return TextSearch((*self._longest_first, *other._longest_first))

    def replace(self, data: bytes, mark: bytes) -> bytes:
        """Replace each occurrence of a pattern by the mark; return the same object without any.

        One mark replaces overlapping patterns, so that no part of a pattern remains.
        """
        if len(self._longest_first) <= _FEW:
            found = [pattern for pattern in self._longest_first if pattern in data]
            if not found:
                return data
            spans = sorted(span for pattern in found for span in _spans(data, pattern))
        else:
            spans = self._search(data)
            if not spans:
                return data
        parts: list[bytes] = []
        end = 0
        for start, stop in spans:
            if start >= end:
                parts += (data[end:start], mark)
            end = max(end, stop)
        parts.append(data[end:])
        return b"".join(parts)

    def _search(self, data: bytes) -> list[tuple[int, int]]:
        """Return the spans of the patterns, ordered by their starts."""
        if self._table is None:
            self._table = self._index()
        table, width = self._table, self._width
        places = [
            place for place in range(len(data) - width + 1) if data[place : place + width] in table
        ]
        spans: list[tuple[int, int]] = []
        left = _MOST_COMPARED + 8 * len(data)
        for place in places:
            for length, patterns in table[data[place : place + width]].items():
                left -= _COMPARISON + length
                if data[place : place + length] in patterns:
                    spans.append((place, place + length))
                    break
            if left < 0:
                return [(0, len(data))]
        return spans

    def _index(self) -> dict[bytes, dict[int, set[bytes]]]:
        self._width = width = min(_WIDTH, len(self._longest_first[-1]))
        table: dict[bytes, dict[int, set[bytes]]] = {}
        for pattern in self._longest_first:
            table.setdefault(pattern[:width], {}).setdefault(len(pattern), set()).add(pattern)
        return table


def _spans(data: bytes, pattern: bytes) -> Iterable[tuple[int, int]]:
    """Yield the spans of a pattern; one span for occurrences that overlap by a constant shift.

    A pattern such as `aaaa` can occur at every position of the data. Joining these occurrences
    makes the time linear in the size of the data.
    """
    size = len(pattern)
    place = data.find(pattern)
    while place >= 0:
        following = data.find(pattern, place + 1, place + 2 * size)
        if following < 0:
            yield place, place + size
            place = data.find(pattern, place + size)
            continue
        shift = following - place
        repeats = (_end_of_repetition(data, following + size, shift) - place - size) // shift
        last = place + repeats * shift
        yield place, last + size
        place = last


def _end_of_repetition(data: bytes, end: int, shift: int) -> int:
    """Return the end, from `end` on, of bytes that equal the byte `shift` positions before."""
    step, grows = shift, True
    while step:
        stop = min(end + step, len(data))
        if stop > end and data[end:stop] == data[end - shift : stop - shift]:
            end = stop
            step = step * 2 if grows else step // 2
        else:
            step, grows = step // 2, False
    return end

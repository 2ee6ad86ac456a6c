"""A search for many texts at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["TextSearch"]

_FEW: Final = 24
"""Up to so many patterns are looked for one after the other: each search is one quick call."""
_WIDTH: Final = 6
"""Bytes at the start of a pattern by which it is found; no more than the shortest pattern has."""
_COMPARISON: Final = 64
"""Bytes that could be compared in the time that a comparison takes by itself."""
_MOST_COMPARED: Final = 4_000_000
"""Bytes that are compared at most, besides eight for each byte of the data. This is exceeded only
where many patterns begin alike and the data consists of their beginnings."""


class TextSearch:
    """Finds some byte strings in others.

    With many patterns, the data is gone through once, whatever their number is: at each place a
    few bytes are looked up in a table of how patterns begin. Where that takes too long, all of the
    data is hidden.
    """

    __slots__ = ("_longest_first", "_table", "_width", "longest")

    def __init__(self, patterns: Iterable[bytes]) -> None:
        self._longest_first = tuple(sorted(set(patterns) - {b""}, key=len, reverse=True))
        self.longest = len(self._longest_first[0]) if self._longest_first else 0
        """Bytes of the longest one."""
        self._width = 0
        self._table: dict[bytes, dict[int, set[bytes]]] | None = None
        """By the first bytes of patterns: their lengths, longest first, and the patterns."""

    def __bool__(self) -> bool:
        return bool(self._longest_first)

    @property
    def patterns(self) -> tuple[bytes, ...]:
        """The patterns, the longest first."""
        return self._longest_first

    def plus(self, other: TextSearch) -> TextSearch:
        """Return one that finds what both find."""
        return TextSearch((*self._longest_first, *other._longest_first))

    def replace(self, data: bytes, mark: bytes) -> bytes:
        """Return the data with the mark for each pattern; without any in it, the same object.

        TextSearch that overlap are hidden together, so that no part of one is left.
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
        """Return from where to where the patterns are, in the order of their starts."""
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
    """Return where a pattern is; one span for several that overlap by a constant shift.

    A pattern such as `aaaa` may begin at every place of the data, so these are not visited one by
    one: the time is linear in the size of the data.
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
    """Return up to where each byte equals the one `shift` bytes before it, at least `end`."""
    step, grows = shift, True
    while step:
        stop = min(end + step, len(data))
        if stop > end and data[end:stop] == data[end - shift : stop - shift]:
            end = stop
            step = step * 2 if grows else step // 2
        else:
            step, grows = step // 2, False
    return end

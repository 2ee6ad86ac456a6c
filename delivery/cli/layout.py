"""Layout of tables: the columns that fit a width, and their widths. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Column", "cut", "fit", "short_reason"]

_PLACE: Final = re.compile(r" port \d+$| cannot be resolved$")
"""Ends of error clauses that name an address."""
GAP: Final = 2
"""Blanks between columns."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table.

    A narrow terminal omits columns, the highest rank first. Columns of rank 0 are always present.
    """

    title: str
    rank: int = 0
    flexible: int | None = None
    """Minimum width after truncation of its cells; None disables truncation."""
    right: bool = False
    """True for numbers, which are right-aligned."""
    tail: int | None = None
    """For ids: number of final characters to print if the whole id does not fit."""


def fit(
    columns: Sequence[Column], rows: Sequence[Sequence[str]], width: int | None
) -> list[tuple[int, int]] | None:
    """Return the index and width of each column that fits; None if rank 0 does not fit.

    Args:
        columns: All columns.
        rows: A cell for each column.
        width: Width of the terminal; None for unlimited.
    """
    from rich.cells import cell_len

    natural = [
        max([cell_len(column.title), *(cell_len(row[index]) for row in rows)])
        for index, column in enumerate(columns)
    ]
    if width is None:
        return list(enumerate(natural))
    least = [_least(column, size) for column, size in zip(columns, natural, strict=True)]
    shown = list(range(len(columns)))
    while _total([least[index] for index in shown]) > width:
        dropped = max(shown, key=lambda index: (columns[index].rank, index))
        if columns[dropped].rank == 0:
            return None
        shown.remove(dropped)
    widths = {index: least[index] for index in shown}
    spare = width - _total(list(widths.values()))
    # Ids come last, either whole or as their final digits: more digits add no information.
    for index in sorted(shown, key=lambda index: columns[index].tail is not None):
        more = min(spare, natural[index] - least[index])
        if columns[index].tail is not None and widths[index] + more < natural[index]:
            continue
        widths[index] += more
        spare -= more
    return list(widths.items())


def short_reason(error: str | None, endpoint: str = "") -> str:
    """Return an error without the clauses that repeat the endpoint.

    `cannot connect: 10.0.0.1 port 80: Connection refused` becomes `Connection refused`: the table
    has other columns for the endpoint and the kind of failure.
    """
    clauses = (error or "").split(": ")
    host = endpoint.partition("://")[2].partition("/")[0].rpartition("@")[2]
    name = host.rpartition(":")[0] or host
    while len(clauses) > 1 and _names_address(clauses[0], name):
        del clauses[0]
    return ": ".join(clauses)


def _names_address(clause: str, host: str) -> bool:
    return (
        clause == "cannot connect" or bool(_PLACE.search(clause)) or bool(host and host in clause)
    )


def _least(column: Column, natural: int) -> int:
    """Return the minimum width of a column."""
    if column.tail is not None:
        return min(natural, max(column.tail + 1, len(column.title)))
    if column.flexible is not None:
        return min(natural, max(column.flexible, len(column.title)))
    return natural


def _total(widths: Sequence[int]) -> int:
    return sum(widths) + GAP * (len(widths) - 1)


def cut(text: str, width: int, *, right: bool, keep_end: bool = False) -> str:
    """Return the text in exactly this many terminal cells.

    A text that is too long ends in an ellipsis, or with `keep_end` begins with one.
    """
    from rich.cells import cell_len, set_cell_size

    length = cell_len(text)
    if length > width:
        if keep_end:
            return "…" + set_cell_size(text[1 - width :], width - 1)
        return set_cell_size(text, width - 1) + "…"
    padding = " " * (width - length)
    return padding + text if right else text + padding

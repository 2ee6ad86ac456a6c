"""What commands print: tables and details for people, JSON for programs.

Without a terminal there are no colours, nothing is cut, and nothing is wrapped.
"""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from rich.console import Console
from rich.text import Text

from delivery.cli.layout import GAP, Column, cut, fit
from delivery.rendering import (
    dump_json,
    escape_controls,
    indent_json,
    iso_time,
    to_json,
    writes_utf8,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["Column", "Output", "duration", "moment"]

_STYLES: Final = {
    "succeeded": "green",
    "enabled": "green",
    "✓": "green",
    "retrying": "yellow",
    "retried": "yellow",
    "running": "cyan",
    "skipped": "dim",
    "-": "dim",
    "disabled": "yellow",
    "lost": "yellow",
    "late": "yellow",
    "!": "yellow",
    "failed": "red",
    "dead": "red",
    "✗": "red",
}
"""Colours of words that stand alone in a cell."""

_DAY: Final = timedelta(days=1)


class Output:
    """Where a command's results go.

    Args:
        as_json: Whether a program reads them.
    """

    def __init__(self, *, as_json: bool) -> None:
        self.as_json = as_json
        # A dumb terminal and a pipe alike get plain text; `TERM` and `NO_COLOR` are rich's to read.
        self.console = Console(file=sys.stdout, highlight=False, markup=False, soft_wrap=True)
        self.notes = Console(file=sys.stderr, highlight=False, markup=False, soft_wrap=True)

    @property
    def is_terminal(self) -> bool:
        """Whether a person looks at the output as it comes."""
        return self.console.is_terminal

    @property
    def width(self) -> int | None:
        """Columns there are; None without a terminal."""
        return self.console.width if self.is_terminal else None

    def json(self, value: Any) -> None:
        """Print one object: on one line, or indented for a person who asked for JSON."""
        line = self._json(value)
        self._write((self.is_terminal and indent_json(line)) or line)

    def json_line(self, value: Any) -> None:
        """Print one object of many, on one line, at once."""
        self._write(self._json(value))

    def _json(self, value: Any) -> str:
        return dump_json(to_json(value), ascii_only=not writes_utf8(sys.stdout))

    def line(self, text: str = "", style: str = "") -> None:
        """Print a line for people."""
        self._print(Text(escape_controls(text), style=style))

    def note(self, text: str) -> None:
        """Say something beside the results: on standard error, and not to programs."""
        if not self.as_json:
            self.notes.print(Text(escape_controls(text), style="dim"))

    def say(self, text: str) -> None:
        """Tell people how far a command is, among its results; programs are told nothing."""
        if not self.as_json:
            self.line(text)

    def marked(
        self, mark: str, name: str, detail: str, advice: str | None = None, *, width: int = 14
    ) -> None:
        """Print the outcome of a check: mark, name in `width` cells, detail, and what to do."""
        line = Text(mark, style=_STYLES.get(mark, ""))
        line.append(f" {name.ljust(width)} {_cell(detail)}", style="not bold default")
        self._print(line)
        if advice:
            self.line(f"  {' ' * width} → {_cell(advice)}", "bold")

    def table(self, columns: Sequence[Column], rows: Sequence[Sequence[Any]], empty: str) -> None:
        """Print rows below their titles, or what to say when there are none."""
        if not rows:
            self.note(empty)
            return
        cells = [[_cell(value) for value in row] for row in rows]
        shown = fit(columns, cells, self.width)
        if shown is None:
            self._blocks(columns, cells)
            return
        titles = [column.title for column in columns]
        for number, row in enumerate([titles, *cells]):
            line = Text()
            for position, (index, width) in enumerate(shown):
                text = cut(row[index], width, right=columns[index].right)
                style = "bold" if number == 0 else _STYLES.get(row[index], "")
                line.append(" " * GAP if position else "")
                line.append(text, style=style)
            line.rstrip()
            self._print(line)

    def more(self, cursor: str | None) -> None:
        """Say how to read on after a page."""
        if cursor is not None:
            self.note(f"There are more: --cursor {cursor}")

    def details(self, pairs: Mapping[str, Any]) -> None:
        """Print names and values, one pair a line; None is left out."""
        shown = {name: _cell(value) for name, value in pairs.items() if value is not None}
        width = max(map(len, shown))
        for name, value in shown.items():
            line = Text(name.ljust(width + GAP), style="bold")
            self._print(line.append(value, style=_STYLES.get(value, "not bold")))

    def body(self, data: bytes) -> None:
        """Print a body, indented by two blanks: JSON over several lines, other text as it is."""
        if not data:
            return
        try:
            text = data.decode()
        except UnicodeDecodeError:
            self.line(f"  {len(data)} bytes, not text: {data[:32].hex(' ')} …", "dim")
            return
        # Carriage returns are half of a line's end here, and would otherwise be written out.
        pretty = indent_json(text) or text.replace("\r\n", "\n")
        for line in pretty.split("\n"):
            self.line(f"  {line}")

    def _blocks(self, columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> None:
        """Rows as blocks of lines, for terminals too narrow for a table."""
        for number, row in enumerate(rows):
            if number:
                self.line()
            titles = (column.title.lower() for column in columns)
            self.details({title: cell or None for title, cell in zip(titles, row, strict=True)})

    def _print(self, text: Text) -> None:
        if self.is_terminal:
            if not writes_utf8(sys.stdout):
                text.plain = _writable(text.plain)
            self.console.print(text)
        else:
            self._write(text.plain)

    def _write(self, line: str) -> None:
        sys.stdout.write(_writable(line) + "\n")
        sys.stdout.flush()


def _writable(text: str) -> str:
    """The text with escapes for surrogates, and for letters that the stream's encoding lacks."""
    encoding = sys.stdout.encoding or "utf-8"
    return text.encode(encoding, "backslashreplace").decode(encoding)


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, datetime):
        return moment(value)
    text = escape_controls(str(value))
    return text.replace("\n", " ").replace("\t", " ")


def moment(value: datetime) -> str:
    """A time for people: of the last or next day the local time, else the date too.

    In a pipe it is ISO 8601.
    """
    if not sys.stdout.isatty():
        return iso_time(value)
    local = value.astimezone()
    near = abs(datetime.now(UTC) - value) < _DAY
    return f"{local:%H:%M:%S}" if near else f"{local:%Y-%m-%d %H:%M}"


def duration(milliseconds: float | None) -> str:
    """`0.8`, `12`, `1,203`: milliseconds, exact where they are few."""
    if milliseconds is None:
        return ""
    return f"{milliseconds:.1f}" if milliseconds < 10 else f"{milliseconds:,.0f}"  # noqa: PLR2004 - one digit

"""Output of commands: tables and details for people, JSON for programs.

Without a terminal, output has no colours, truncation or wrapping.
"""

from __future__ import annotations

import sys
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from delivery.cli.layout import GAP, Column, cut, fit
from delivery.cli.styles import columns_of, shows_styles, styled
from delivery.cli.times import moment
from delivery.rendering import (
    dump_json,
    escape_controls,
    indent_json,
    to_json,
    writes_utf8,
)
from delivery.wording import counted

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["Output"]

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
"""Colours of cells that contain one of these words."""


class Output:
    """The output of a command.

    Args:
        as_json: Print JSON instead of text.
    """

    def __init__(self, *, as_json: bool) -> None:
        self.as_json = as_json
        self._styles = shows_styles(sys.stdout)

    @property
    def is_terminal(self) -> bool:
        """True if standard output is a terminal."""
        return sys.stdout.isatty()

    @property
    def width(self) -> int | None:
        """Width of the terminal; None without one."""
        return columns_of(sys.stdout) if self.is_terminal else None

    def json(self, value: Any) -> None:
        """Print one object: indented in a terminal, else on one line."""
        line = self._json(value)
        self._write((self.is_terminal and indent_json(line)) or line)

    def json_line(self, value: Any) -> None:
        """Print one of several objects on one line, and flush it."""
        self._write(self._json(value))

    def _json(self, value: Any) -> str:
        return dump_json(to_json(value), ascii_only=not writes_utf8(sys.stdout))

    def line(self, text: str = "", style: str = "") -> None:
        """Print a line for people."""
        self._print((escape_controls(text), style))

    def note(self, text: str) -> None:
        """Print a note to standard error, except with `--json`."""
        if not self.as_json:
            line = styled([(escape_controls(text), "dim")], shown=shows_styles(sys.stderr))
            sys.stderr.write(line.encode(errors="backslashreplace").decode() + "\n")
            sys.stderr.flush()

    def say(self, text: str) -> None:
        """Print progress to standard output, except with `--json`."""
        if not self.as_json:
            self.line(text)

    def marked(
        self, mark: str, name: str, detail: str, advice: str | None = None, *, width: int = 14
    ) -> None:
        """Print the result of a check: mark, name in `width` cells, detail and advice."""
        rest = f" {name.ljust(width)} {_cell(detail)}"
        self._print((mark, _STYLES.get(mark, "")), (rest, ""))
        if advice:
            self.line(f"  {' ' * width} → {_cell(advice)}", "bold")

    def table(self, columns: Sequence[Column], rows: Sequence[Sequence[Any]], empty: str) -> None:
        """Print rows below their titles, or the note `empty` if there are none."""
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
            pieces = []
            for index, width in shown:
                column = columns[index]
                text = cut(row[index], width, right=column.right, keep_end=column.tail is not None)
                style = "bold" if number == 0 else _STYLES.get(row[index], "")
                pieces += [(text, style), (" " * GAP, "")]
            self._print(*_without_trailing_blanks(pieces))

    def more(self, cursor: str | None) -> None:
        """Print the cursor of the next page."""
        if cursor is not None:
            self.note(f"More rows: --cursor {cursor}")

    def details(self, pairs: Mapping[str, Any]) -> None:
        """Print names and values, one pair per line, without None values."""
        shown = {name: _cell(value) for name, value in pairs.items() if value is not None}
        width = max(map(len, shown))
        for name, value in shown.items():
            self._print((name.ljust(width + GAP), "bold"), (value, _STYLES.get(value, "")))

    def body(self, data: bytes) -> None:
        """Print a body, indented by two blanks: JSON over several lines, other text unchanged."""
        if not data:
            return
        try:
            text = data.decode()
        except UnicodeDecodeError:
            self.line(f"  {counted(len(data), 'byte')}, not text: {data[:32].hex(' ')} …", "dim")
            return
        # A carriage return before a line end would be printed as an escape.
        pretty = indent_json(text) or text.replace("\r\n", "\n")
        for line in pretty.split("\n"):
            self.line(f"  {line}")

    def _blocks(self, columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> None:
        """Print rows as blocks of lines, for terminals too narrow for a table."""
        for number, row in enumerate(rows):
            if number:
                self.line()
            titles = (column.title.lower() for column in columns)
            self.details({title: cell or None for title, cell in zip(titles, row, strict=True)})

    def _print(self, *pieces: tuple[str, str]) -> None:
        self._write(styled(pieces, shown=self._styles))

    def _write(self, line: str) -> None:
        sys.stdout.write(_writable(line) + "\n")
        sys.stdout.flush()


def _writable(text: str) -> str:
    """Escape surrogates and characters that the stream's encoding lacks."""
    encoding = sys.stdout.encoding or "utf-8"
    return text.encode(encoding, "backslashreplace").decode(encoding)


def _without_trailing_blanks(pieces: list[tuple[str, str]]) -> list[tuple[str, str]]:
    while pieces and not pieces[-1][0].strip():
        pieces.pop()
    if pieces:
        text, style = pieces[-1]
        pieces[-1] = (text.rstrip(), style)
    return pieces


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, datetime):
        return moment(value)
    text = escape_controls(str(value))
    return text.replace("\n", " ").replace("\t", " ")

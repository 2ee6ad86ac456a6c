"""The help of a command, wrapped to the width of the terminal."""

from __future__ import annotations

import re
from textwrap import wrap
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cyclopts.help import HelpEntry, HelpPanel

__all__ = ["HelpPage"]

_INDENT: Final = "  "
_NARROWEST: Final = 40
_UNBROKEN: Final = re.compile(r"`[^`]{1,44}`|\[default: [^]]{1,20}\]")
"""Pieces that stay on one line: short code, and defaults."""
_NO_BREAK: Final = "\N{NO-BREAK SPACE}"


class HelpPage:
    """A help formatter for cyclopts: plain text, with the descriptions in a column."""

    def __init__(self, columns: int) -> None:
        self._columns = max(columns, _NARROWEST)
        self._widest_label = self._columns // 3
        """Width of the label column; a longer label gets a separate line above its description."""

    def render_usage(self, console: Any, _options: Any, usage: Any) -> None:
        """Print the usage line."""
        text = _plain(usage)
        if text:
            line = text if text.startswith("Usage:") else f"Usage: {text}"
            self._print(console, self._fill(line, subsequent_indent=_INDENT))

    def render_description(self, console: Any, _options: Any, description: Any) -> None:
        """Print the docstring of the command, each paragraph wrapped."""
        for paragraph in _plain(description).split("\n\n"):
            if paragraph:
                self._print(console, self._fill(paragraph))

    def __call__(
        self,
        console: Any,
        options: Any,  # noqa: ARG002 - the protocol names it
        panel: HelpPanel,
    ) -> None:
        """Print a group of commands or parameters."""
        rows = [(_label(entry, panel.format), _description(entry)) for entry in panel.entries]
        if not rows:
            return
        self._print(console, f"{_plain(panel.title)}:")
        widths = [len(label) for label, _ in rows if len(label) <= self._widest_label]
        width = max(widths, default=0)
        for label, text in rows:
            self._print(console, "\n".join(self._row(label, text, width)))
        self._print(console, "")

    def _row(self, label: str, text: str, width: int) -> Iterator[str]:
        margin = len(_INDENT) + width + 2
        lines = _wrapped(text, max(self._columns - margin, _NARROWEST // 2))
        if len(label) > width:
            yield f"{_INDENT}{label}"
        else:
            first = lines.pop(0) if lines else ""
            yield f"{_INDENT}{label:<{width}}  {first}".rstrip()
        yield from (" " * margin + line for line in lines)

    def _fill(self, text: str, *, subsequent_indent: str = "") -> str:
        """Return a paragraph and an empty line."""
        lines = _wrapped(text, self._columns - len(subsequent_indent))
        return f"\n{subsequent_indent}".join(lines) + "\n"

    def _print(self, console: Any, text: str) -> None:
        console.print(text, highlight=False, markup=False, soft_wrap=True)


def _wrapped(text: str, columns: int) -> list[str]:
    """Return the lines of a paragraph."""
    kept = _UNBROKEN.sub(lambda found: found[0].replace(" ", _NO_BREAK), " ".join(text.split()))
    return [line.replace(_NO_BREAK, " ") for line in wrap(kept, columns, break_on_hyphens=False)]


def _label(entry: HelpEntry, kind: str) -> str:
    labels = entry.display_labels_with_metavar if kind == "parameter" else entry.display_labels
    return ", ".join(labels)


def _description(entry: HelpEntry) -> str:
    parts = [" ".join(_plain(entry.description).split())]
    if entry.choices:
        parts.append(f"[choices: {', '.join(entry.choices)}]")
    if entry.default is not None:
        parts.append(f"[default: {entry.default}]")
    if entry.required:
        parts.append("[required]")
    return " ".join(part for part in parts if part)


def _plain(text: Any) -> str:
    """Return the text of a string, of rich's `Text`, or of cyclopts' wrapper around one."""
    if text is None:
        return ""
    found = getattr(text, "primary_renderable", text)
    return str(getattr(found, "plain", found)).strip()

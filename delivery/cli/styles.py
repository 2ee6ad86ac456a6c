"""Bold, dim and coloured text for terminals that show it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final, TextIO

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["columns_of", "shows_styles", "styled"]

_CODES: Final = {
    "bold": "1",
    "dim": "2",
    "red": "31",
    "green": "32",
    "yellow": "33",
    "cyan": "36",
}
"""Parameters of the escape sequence that selects a style (ECMA-48, SGR)."""
_PLAIN_TERMINALS: Final = frozenset({"dumb", "unknown"})
_DEFAULT_COLUMNS: Final = 80


def shows_styles(stream: TextIO) -> bool:
    """Return whether the stream is a terminal with styles enabled."""
    return (
        stream.isatty()
        and not os.environ.get("NO_COLOR")
        and os.environ.get("TERM", "") not in _PLAIN_TERMINALS
    )


def styled(pieces: Sequence[tuple[str, str]], *, shown: bool) -> str:
    """Return pieces of text as one line, each in its style; an empty style is plain.

    Args:
        pieces: Texts and their styles.
        shown: Apply the styles; else return plain text.
    """
    parts = []
    for text, style in pieces:
        code = _CODES.get(style) if shown and text.strip() else None
        parts.append(text if code is None else f"\x1b[{code}m{text}\x1b[0m")
    return "".join(parts)


def columns_of(stream: TextIO) -> int:
    """Return the number of columns of a stream's terminal."""
    given = os.environ.get("COLUMNS", "")
    if given.isdigit() and int(given) > 0:
        return int(given)
    try:
        return os.get_terminal_size(stream.fileno()).columns or _DEFAULT_COLUMNS
    except (OSError, ValueError):
        return _DEFAULT_COLUMNS

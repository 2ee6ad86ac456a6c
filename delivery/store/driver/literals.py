"""Statements with literals instead of parameters, for sessions with unknown codecs.

The literals have the same meaning under all settings of a session.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["inlined", "literal"]

_COMMENT: Final = re.compile(r"--.*")
_PLACEHOLDER: Final = re.compile(r"\$(\d+)")


def inlined(text: str, parameters: Sequence[object]) -> str:
    """Return a statement with a literal in place of each `$n`.

    The statement must cast each placeholder whose type does not follow from its context.
    """
    literals = [literal(parameter) for parameter in parameters]
    # Comments contain placeholders too, and a literal with a line break would end the comment.
    return _PLACEHOLDER.sub(lambda found: literals[int(found[1]) - 1], _COMMENT.sub("", text))


def literal(value: object) -> str:
    """Return a value as SQL.

    Raises:
        TypeError: There is no literal for values of its type.
    """
    if value is None:
        return "NULL"
    if isinstance(value, (list, tuple)):
        return f"ARRAY[{', '.join(map(literal, value))}]" if value else "'{}'"
    for kind, write in _WRITERS:
        if isinstance(value, kind):
            return write(value)
    message = f"there is no literal for {type(value).__name__}"
    raise TypeError(message)


def _quoted(text: str) -> str:
    # With E the meaning of a backslash does not depend on standard_conforming_strings.
    escaped = text.replace("\\", "\\\\").replace("'", "''")
    return f"E'{escaped}'"


_WRITERS: Final[tuple[tuple[type, Callable[[Any], str]], ...]] = (
    (bool, lambda value: "TRUE" if value else "FALSE"),
    (int, lambda value: f"({value})"),
    (bytes, lambda value: rf"E'\\x{value.hex()}'::pg_catalog.bytea"),
    (str, _quoted),
    (UUID, lambda value: f"'{value}'::pg_catalog.uuid"),
    (datetime, lambda value: f"'{value.isoformat()}'::pg_catalog.timestamptz"),
)
"""Functions that write the values of a type; the first matching type is used."""

"""Statements with their parameters written into them as literals.

For sessions whose codecs are not known. Everything is written so that it means the same whatever
the session's settings are.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import TYPE_CHECKING, Final
from uuid import UUID

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["inlined", "literal"]

_COMMENT: Final = re.compile(r"^\s*--.*$", re.MULTILINE)
_PLACEHOLDER: Final = re.compile(r"\$(\d+)")


def inlined(text: str, parameters: Sequence[object]) -> str:
    """Return a statement with a literal in place of each `$n`.

    The statement must cast every placeholder whose type the context does not give.
    """
    literals = [literal(parameter) for parameter in parameters]
    # Comments name placeholders too, and a literal with a line break would end the comment.
    return _PLACEHOLDER.sub(lambda found: literals[int(found[1]) - 1], _COMMENT.sub("", text))


def literal(value: object) -> str:
    """Return a value as SQL.

    Raises:
        TypeError: if there is no literal for values of its type.
    """
    match value:
        case None:
            return "NULL"
        case bool():
            return "TRUE" if value else "FALSE"
        case int():
            return f"({value})"
        case bytes():
            return rf"E'\\x{value.hex()}'::pg_catalog.bytea"
        case str():
            return _quoted(value)
        case UUID():
            return f"'{value}'::pg_catalog.uuid"
        case datetime():
            return f"'{value.isoformat()}'::pg_catalog.timestamptz"
        case list() | tuple():
            if not value:
                return "'{}'"
            return f"ARRAY[{', '.join(map(literal, value))}]"
    message = f"there is no literal for {type(value).__name__}"
    raise TypeError(message)


def _quoted(text: str) -> str:
    # With E the meaning of a backslash does not depend on standard_conforming_strings.
    escaped = text.replace("\\", "\\\\").replace("'", "''")
    return f"E'{escaped}'"

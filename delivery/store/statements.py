"""SQL statements of the store, one per file in `delivery/store/sql`, read once.

The comment at the top of each file describes the statement and each of its parameters. A test
compares these descriptions with the prepared statements.
"""

from __future__ import annotations

from difflib import get_close_matches
from functools import cache
from importlib.resources import files

__all__ = ["statement"]


@cache
def statement(name: str) -> str:
    """Return the text of `sql/<name>.sql` without its closing semicolon.

    Raises:
        LookupError: There is no such file, which is a bug of this package.
    """
    folder = files("delivery.store") / "sql"
    try:
        text = (folder / f"{name}.sql").read_text(encoding="utf-8")
    except FileNotFoundError:
        known = [entry.name.removesuffix(".sql") for entry in folder.iterdir()]
        near = get_close_matches(name, known, n=1)
        message = f"no SQL statement is called {name!r} in {folder}"
        message += f"; did you mean {near[0]!r}?" if near else ""
        raise LookupError(message) from None
    return text.strip().removesuffix(";")

"""The SQL of the store: one statement a file in `delivery/store/sql`, read once."""

from __future__ import annotations

from difflib import get_close_matches
from functools import cache
from importlib.resources import files

__all__ = ["statement"]


@cache
def statement(name: str) -> str:
    """The text of `sql/<name>.sql`, without its closing semicolon.

    Raises:
        LookupError: There is no such file, which is a mistake in this package.
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

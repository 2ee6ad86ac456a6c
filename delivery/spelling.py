"""Suggestions for words that are not known. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["closest", "did_you_mean"]


def closest(word: str, known: Iterable[str], *, cutoff: float = 0.6) -> str | None:
    """Return the known word that is most like this one, if one is like it."""
    # difflib is needed only to explain an error.
    from difflib import get_close_matches  # noqa: PLC0415

    near = get_close_matches(word, list(known), n=1, cutoff=cutoff)
    return near[0] if near else None


def did_you_mean(word: object, known: Iterable[str]) -> str:
    """Return the end of an error message: `; did you mean X?`, or all the words that are known."""
    words = list(known)
    near = closest(word, words) if isinstance(word, str) else None
    return f"; did you mean {near}?" if near else f"; known are {', '.join(sorted(words))}"

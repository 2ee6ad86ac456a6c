"""Suggestions for unknown words. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["closest", "did_you_mean"]


def closest(word: str, known: Iterable[str], *, cutoff: float = 0.6) -> str | None:
    """Return the most similar known word, if any is similar."""
    # Imported here because it is needed only for errors.
    from difflib import get_close_matches  # noqa: PLC0415

    near = get_close_matches(word, list(known), n=1, cutoff=cutoff)
    return near[0] if near else None


def did_you_mean(word: object, known: Iterable[str]) -> str:
    """Return the end of an error message: `; did you mean X?`, or the list of known words."""
    words = list(known)
    near = closest(word, words) if isinstance(word, str) else None
    return f"; did you mean {near}?" if near else f"; known are {', '.join(sorted(words))}"

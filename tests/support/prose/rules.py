"""Rules of style that can be counted; CONTRIBUTING.md explains them."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING, Final, NamedTuple

from tests.support.prose.extraction import DOCSTRINGS, Kind, Passage
from tests.support.prose.verbs import VERBS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = [
    "COUNTED",
    "FEWEST",
    "MOOD",
    "OPENING",
    "TARGET",
    "Ceiling",
    "Figures",
    "Finding",
    "ceilings",
    "figures",
    "findings",
    "is_plain",
]

TARGET: Final = 3
"""Counted words in 1,000 that a room may have. Well-written projects have 0.5 to 2.6: each of the
words has good uses."""
FEWEST: Final = 2
"""Counted words that a room may have, however small it is."""

COUNTED: Final[dict[str, str]] = {
    "what": r"what(?:ever)?\b(?![^.?!;|]*\?)",  # a question may ask it
    "whoever": r"who(?:m)?ever",
    "told": r"told|tell(?:s|ing)? of",
    "stand": r"(?:stands?|stood)\b(?! for)",
    "anew": r"anew",
    "but for": r"but for|nothing but|none but",
    "behind": r"behind",
    "keep": r"(?:keeps?|kept|keeping)\b(?![- ]alive)",
    "conceal": r"conceal(?:s|ed|ing)?",
    "hide": r"hid(?:e|es|den|ing)",
    "seal": r"(?:un)?seal(?:s|ed|ing)?",
    "shown": r"shown",
    "answer": r"answer(?:s|ed|ing)?",
    "nobody": r"(?:no|any|some|every)body",
    "go on": r"(?:go|goes|going|went|gone) on\b",
    "let go": r"lets? go",
    "of its own": r"of (?:its|their|his|your) own",
    "become of": r"(?:becomes?|became|comes?|came) of",
    "mend": r"mend(?:s|ed|ing)?",
    "beside": r"beside",
    "at once": r"at once",
    "in vain": r"in vain",
    "in hand": r"in hand",
    "for ever": r"for ever",
}
"""Counted words and their patterns, which are matched without regard to case."""

OPENING: Final = "opening"
"""A docstring begins with a relative or interrogative word."""

MOOD: Final = "mood"
"""The docstring of a function does not begin with an imperative, or that of a class or module
begins with a verb."""

_COUNTED: Final = {
    word: re.compile(rf"\b(?:{pattern})\b", re.IGNORECASE) for word, pattern in COUNTED.items()
}
_WORD: Final = re.compile(r"[A-Za-z][A-Za-z'\u2019-]*")
_RELATIVE: Final = re.compile(r"\s*(What|How|Whether|Who|Whom|Whose|Which|Where|When|Why|That)\b")
_VERB_FIRST: Final = re.compile(
    r"\s*([A-Z][a-z]+?)(?:s|es) (?:an?|the|all|each|every|one|its|their|how|what)\b"
)


@dataclass(frozen=True, slots=True)
class Finding:
    """A place where the prose departs from a rule."""

    passage: Passage
    line: int
    rule: str
    """A counted word, `OPENING` or `MOOD`."""
    excerpt: str


@dataclass(frozen=True, slots=True)
class Figures:
    """Counts of one room."""

    words: int = 0
    docstrings: int = 0
    functions: int = 0
    """Docstrings of functions that are to begin with an imperative."""
    counted: int = 0
    opening: int = 0
    mood: int = 0

    @property
    def rate(self) -> float:
        """Counted words in 1,000 words."""
        return 1_000 * self.counted / self.words if self.words else 0.0


def findings(passages: Iterable[Passage]) -> Iterator[Finding]:
    """Check passages against all rules."""
    for passage in passages:
        yield from _counted_words(passage)
        if passage.kind in DOCSTRINGS:
            rule = _fault_of_first_line(passage)
            if rule is not None:
                yield Finding(passage, passage.line, rule, _excerpt(passage.text, 0))


def _counted_words(passage: Passage) -> Iterator[Finding]:
    for word, pattern in _COUNTED.items():
        for found in pattern.finditer(passage.text):
            line = passage.line + passage.text.count("\n", 0, found.start())
            yield Finding(passage, line, word, _excerpt(passage.text, found.start()))


def _fault_of_first_line(passage: Passage) -> str | None:
    if _RELATIVE.match(passage.text):
        return OPENING
    if passage.kind is Kind.FUNCTION:
        first = _WORD.search(passage.text)
        return None if first is not None and first[0].lower() in VERBS else MOOD
    if passage.kind in {Kind.CLASS, Kind.MODULE}:
        found = _VERB_FIRST.match(passage.text)
        return MOOD if found is not None and found[1].lower() in VERBS else None
    return None


def _excerpt(text: str, position: int) -> str:
    begin = max(position - 40, 0)
    return " ".join(text[begin : position + 50].split())


def figures(passages: Iterable[Passage]) -> dict[str, Figures]:
    """Count words and findings of each room."""
    rooms: defaultdict[str, list[Passage]] = defaultdict(list)
    for passage in passages:
        rooms[passage.room].append(passage)
    return {room: _figures_of(rooms[room]) for room in sorted(rooms)}


def _figures_of(passages: list[Passage]) -> Figures:
    rules = [finding.rule for finding in findings(passages)]
    opening, mood = rules.count(OPENING), rules.count(MOOD)
    return Figures(
        words=sum(len(_WORD.findall(passage.text)) for passage in passages),
        docstrings=sum(passage.kind in DOCSTRINGS for passage in passages),
        functions=sum(passage.kind is Kind.FUNCTION for passage in passages),
        counted=len(rules) - opening - mood,
        opening=opening,
        mood=mood,
    )


class Ceiling(NamedTuple):
    """Upper bounds of a room that is not rewritten yet."""

    rate: float
    opening: int
    mood: int


def ceilings(rooms: dict[str, Figures]) -> dict[str, Ceiling]:
    """Return the present figures of the rooms that miss the target."""
    return {
        room: Ceiling(ceil(each.rate * 10) / 10, each.opening, each.mood)
        for room, each in rooms.items()
        if not is_plain(each)
    }


def is_plain(room: Figures) -> bool:
    """Return whether a room meets the target."""
    few = room.rate < TARGET or room.counted <= FEWEST
    return few and not room.opening and not room.mood

"""Selection of the reactions that match a trigger, by event type and by condition."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Final, Generic, TypeAlias, TypeVar

from delivery.errors import InvalidInput, InvalidReaction
from delivery.policy.conditions import Condition, compile_condition

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

__all__ = [
    "MatchEntry",
    "Matcher",
    "Matches",
    "matches",
    "validate_event_type",
    "validate_pattern",
    "validate_patterns",
]

K = TypeVar("K")
Matches: TypeAlias = "tuple[list[K], list[tuple[K, str]]]"
"""Keys of the matching reactions, and the key and error of each reaction whose condition could not
be evaluated. The latter do not match."""

_LONGEST: Final = 255
_MOST_PATTERNS: Final = 1_000
_TYPES_KEPT: Final = 1_024
_CONDITIONS_KEPT: Final = 4_096
_STEPS_A_PART: Final = 5_000
"""Steps of evaluation between two pauses of a search: about two milliseconds."""
_STEPS_OF_COMPILING: Final = 1_000
_NO_TEXT: Final = "is not a string"


def validate_event_type(event_type: str, max_length: int = _LONGEST) -> str:
    """Validate and return the event type of a trigger: a dotted name such as `order.paid`.

    Raises:
        InvalidInput: if the type is empty or too long, has an empty part between dots, or contains
            whitespace, control characters or `*`.
    """
    given: object = event_type
    reason = _fault(given, max_length) if isinstance(given, str) else _NO_TEXT
    if reason is not None:
        message = (
            f"the event type {_shown(event_type)} {reason}; use a dotted name such as order.paid"
        )
        raise InvalidInput(message)
    return event_type


def validate_pattern(pattern: str, max_length: int = _LONGEST) -> str:
    """Validate and return one event type pattern of a reaction.

    A pattern is an exact type, a prefix (`order.*`), or `*`.

    Raises:
        InvalidReaction: if the pattern is none of these.
    """
    if pattern == "*":
        return pattern
    given: object = pattern
    reason = _fault(given.removesuffix(".*"), max_length) if isinstance(given, str) else _NO_TEXT
    if reason is not None:
        message = (
            f"the event type {_shown(pattern)} {reason};"
            " use an exact type (order.paid), a prefix (order.*), or *"
        )
        raise InvalidReaction(message)
    return pattern


def validate_patterns(patterns: Iterable[str], max_length: int = _LONGEST) -> tuple[str, ...]:
    """Validate the patterns of a reaction and return them in order, without duplicates.

    Raises:
        InvalidReaction: if there are no or too many patterns, or one is invalid.
    """
    if isinstance(patterns, str):
        message = f"event_types must be a list of types, such as [{_shown(patterns)}]"
        raise InvalidReaction(message)
    checked = dict.fromkeys(validate_pattern(pattern, max_length) for pattern in patterns)
    if not checked:
        message = 'event_types is empty; use ["*"] for all types'
        raise InvalidReaction(message)
    if len(checked) > _MOST_PATTERNS:
        message = f"event_types has {len(checked)} entries; the maximum is {_MOST_PATTERNS}"
        raise InvalidReaction(message)
    return tuple(checked)


def matches(patterns: Iterable[str], event_type: str) -> bool:
    """Return whether any pattern matches the event type.

    `order.*` matches `order.paid` and `order.line.added`, but neither `order` nor `orders.paid`.
    """
    return any(
        pattern in ("*", event_type)
        or (pattern.endswith(".*") and event_type.startswith(pattern[:-1]))
        for pattern in patterns
    )


@dataclass(frozen=True, slots=True)
class MatchEntry(Generic[K]):
    """Matching rules of one reaction. `key` identifies the reaction to the caller."""

    key: K
    patterns: tuple[str, ...]
    condition: str | None = None


class Matcher(Generic[K]):
    """Index of reactions by event type.

    An invalid condition is reported as an error for each trigger whose type matches its entry.
    """

    __slots__ = (
        "_conditions",
        "_everything",
        "_exact",
        "_found",
        "_found_by_name",
        "_keys",
        "_prefixes",
    )

    def __init__(self, entries: Sequence[MatchEntry[K]]) -> None:
        self._keys = [entry.key for entry in entries]
        self._conditions: list[Condition | InvalidReaction | str | None] = []
        """Conditions by position. Each is compiled on first use: a tenant can have thousands."""
        self._exact: dict[str, list[int]] = {}
        self._prefixes: dict[str, list[int]] = {}
        self._everything: list[int] = []
        self._found: dict[str, tuple[int, ...]] = {}
        self._found_by_name: dict[str, tuple[int, ...]] = {}
        for position, entry in enumerate(entries):
            self._conditions.append(entry.condition)
            for pattern in entry.patterns:
                if pattern == "*":
                    self._everything.append(position)
                elif pattern.endswith(".*"):
                    self._prefixes.setdefault(pattern[:-1], []).append(position)
                else:
                    self._exact.setdefault(pattern, []).append(position)

    def matching(
        self, event_type: str, payload: Callable[[], object], *, by_name: bool = False
    ) -> Matches[K]:
        """Return the keys of the matching entries in order, and the conditions that failed.

        Args:
            event_type: Type of the trigger.
            payload: Function that returns the decoded payload. Called at most once, and only if a
                condition needs the payload.
            by_name: Ignore the pattern `*`; match only exact types and prefixes.
        """
        *_, found = self.search(event_type, payload, by_name=by_name)
        assert found is not None
        return found

    def search(
        self, event_type: str, payload: Callable[[], object], *, by_name: bool = False
    ) -> Iterator[Matches[K] | None]:
        """Match in parts, so that the caller can yield to the event loop between them.

        Yields None after each part, then the result of `matching`. A part ends when
        its evaluations have taken `_STEPS_A_PART` steps.
        """
        matched: list[K] = []
        errors: list[tuple[K, str]] = []
        value: object = None
        decoded = False
        steps = 0
        for position in self._positions(event_type, by_name=by_name):
            key, condition = self._keys[position], self._conditions[position]
            if condition is None:
                matched.append(key)
                continue
            if isinstance(condition, str):
                steps += _STEPS_OF_COMPILING
                condition = self._conditions[position] = _compiled(condition)
            if isinstance(condition, InvalidReaction):
                errors.append((key, str(condition)))
                continue
            if not decoded:
                value, decoded = payload(), True
            evaluation = condition.evaluate(value)
            if evaluation.matched:
                matched.append(key)
            elif evaluation.error is not None:
                errors.append((key, evaluation.error))
            steps += 1 + evaluation.steps
            if steps >= _STEPS_A_PART:
                steps = 0
                yield None
        yield matched, errors

    def _positions(self, event_type: str, *, by_name: bool) -> tuple[int, ...]:
        known = self._found_by_name if by_name else self._found
        found = known.get(event_type)
        if found is None:
            positions = set(self._exact.get(event_type, ()))
            if not by_name:
                positions.update(self._everything)
            end = event_type.find(".") + 1
            while end:
                positions.update(self._prefixes.get(event_type[:end], ()))
                end = event_type.find(".", end) + 1
            found = tuple(sorted(positions))
            if len(known) >= _TYPES_KEPT:
                # Callers choose the types: without a bound, arbitrary types would fill the memory.
                known.clear()
            known[event_type] = found
        return found


@lru_cache(maxsize=_CONDITIONS_KEPT)
def _compiled(expression: str) -> Condition | InvalidReaction:
    try:
        return compile_condition(expression)
    except InvalidReaction as error:
        return error


@lru_cache(maxsize=_TYPES_KEPT)
def _fault(name: str, max_length: int) -> str | None:
    if not name:
        return "is empty"
    if len(name) > max_length:
        return f"has {len(name)} characters (the maximum is {max_length})"
    if "*" in name:
        return "contains a *, which is reserved for patterns"
    if any(character.isspace() or not character.isprintable() for character in name):
        is_lone = any("\ud800" <= character <= "\udfff" for character in name)
        return f"contains {'a lone surrogate' if is_lone else 'whitespace or a control character'}"
    if not all(name.split(".")):
        return "has an empty part before, after or between its dots"
    return None


def _shown(text: object) -> str:
    shown = ascii(text)
    return shown if len(shown) <= 80 else f"{shown[:77]}..."  # noqa: PLR2004 - fits one line

"""Which reactions a trigger concerns: by its type, and by conditions over its payload."""

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
"""The keys that match; and with its reason each key whose condition could not be evaluated, which
does not match."""

_LONGEST: Final = 255
_MOST_PATTERNS: Final = 1_000
_TYPES_KEPT: Final = 1_024
_CONDITIONS_KEPT: Final = 4_096
_STEPS_A_PART: Final = 5_000
"""About two milliseconds."""
_STEPS_OF_COMPILING: Final = 1_000
_NO_TEXT: Final = "is not a text"


def validate_event_type(event_type: str, max_length: int = _LONGEST) -> str:
    """The type itself, if a trigger may have it: dotted names such as `order.paid`.

    Raises:
        InvalidInput: if it is empty or too long, has an empty part between dots, or has whitespace,
            control characters or `*` in it.
    """
    given: object = event_type
    reason = _fault(given, max_length) if isinstance(given, str) else _NO_TEXT
    if reason is not None:
        message = f"the event type {_shown(event_type)} {reason}; write it as in order.paid"
        raise InvalidInput(message)
    return event_type


def validate_pattern(pattern: str, max_length: int = _LONGEST) -> str:
    """The pattern itself, if a reaction may have it: an exact type, a prefix (`order.*`), or `*`.

    Raises:
        InvalidReaction: if it is none of these.
    """
    if pattern == "*":
        return pattern
    given: object = pattern
    reason = _fault(given.removesuffix(".*"), max_length) if isinstance(given, str) else _NO_TEXT
    if reason is not None:
        message = (
            f"the event type {_shown(pattern)} {reason};"
            " write an exact type (order.paid), a prefix (order.*), or *"
        )
        raise InvalidReaction(message)
    return pattern


def validate_patterns(patterns: Iterable[str], max_length: int = _LONGEST) -> tuple[str, ...]:
    """The patterns of one reaction, each once, in their order.

    Raises:
        InvalidReaction: if there are none or too many, or one is not valid.
    """
    if isinstance(patterns, str):
        message = f"event_types must be a list of types, for instance [{_shown(patterns)}]"
        raise InvalidReaction(message)
    checked = dict.fromkeys(validate_pattern(pattern, max_length) for pattern in patterns)
    if not checked:
        message = 'event_types is empty; give ["*"] for all types'
        raise InvalidReaction(message)
    if len(checked) > _MOST_PATTERNS:
        message = f"event_types has {len(checked)} entries; at most {_MOST_PATTERNS} are allowed"
        raise InvalidReaction(message)
    return tuple(checked)


def matches(patterns: Iterable[str], event_type: str) -> bool:
    """Whether one of the patterns fits the type.

    `order.*` fits `order.paid` and `order.line.added`, but neither `order` nor `orders.paid`.
    """
    return any(
        pattern in ("*", event_type)
        or (pattern.endswith(".*") and event_type.startswith(pattern[:-1]))
        for pattern in patterns
    )


@dataclass(frozen=True, slots=True)
class MatchEntry(Generic[K]):
    """One reaction as the matcher sees it; `key` is whatever the caller knows it by."""

    key: K
    patterns: tuple[str, ...]
    condition: str | None = None


class Matcher(Generic[K]):
    """Finds the entries that match a trigger, without looking at all of them.

    A condition that does not compile is reported each time its entry would have been asked.
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
        """A text is compiled when it is first needed: a tenant may have thousands of them."""
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
        """Return the keys of the matching entries in their order, and those that failed.

        Args:
            event_type: The trigger's type.
            payload: Gives the decoded payload; called at most once, and only if a condition needs
                it.
            by_name: Whether only exact types and prefixes count, and `*` does not.
        """
        *_, found = self.search(event_type, payload, by_name=by_name)
        assert found is not None
        return found

    def search(
        self, event_type: str, payload: Callable[[], object], *, by_name: bool = False
    ) -> Iterator[Matches[K] | None]:
        """Do the same in parts, so that the caller can let others work in between.

        Yields None after each part, which is a single evaluation at most where these are long, and
        in the end what `matching` returns.
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
                # Types come from callers: without a bound, made-up ones would fill the memory.
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
        return f"has {len(name)} characters, and at most {max_length} are allowed"
    if "*" in name:
        return "has a * in it, which stands for other types"
    if any(character.isspace() or not character.isprintable() for character in name):
        is_lone = any("\ud800" <= character <= "\udfff" for character in name)
        return f"has {'a lone surrogate' if is_lone else 'whitespace or a control character'} in it"
    if not all(name.split(".")):
        return "has an empty part before, after or between its dots"
    return None


def _shown(text: object) -> str:
    shown = ascii(text)
    return shown if len(shown) <= 80 else f"{shown[:77]}..."  # noqa: PLR2004 - fits one line

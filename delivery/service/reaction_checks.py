"""Whether what is said of a reaction, but for its call, can be used."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from delivery.errors import InvalidReaction
from delivery.models import ReactionState
from delivery.policy.conditions import compile_condition
from delivery.policy.matching import validate_pattern
from delivery.service.checks import check_priority, check_text

__all__ = ["check_condition", "check_event_types", "check_reason", "checked_fields"]

_MAX_EVENT_TYPES: Final = 1_000


def check_event_types(event_types: Sequence[str]) -> tuple[str, ...]:
    """The patterns themselves.

    Raises:
        InvalidReaction: if there are none or too many, or one is not a pattern.
    """
    if isinstance(event_types, str) or not isinstance(event_types, Sequence):
        message = f"event_types is {event_types!r}; give a list of texts"
        raise InvalidReaction(message)
    if not 1 <= len(event_types) <= _MAX_EVENT_TYPES:
        message = f"event_types must have from 1 to {_MAX_EVENT_TYPES} entries"
        raise InvalidReaction(message)
    return tuple(validate_pattern(pattern) for pattern in event_types)


def check_condition(condition: str | None) -> str | None:
    """The condition itself.

    Raises:
        InvalidReaction: if it is no JMESPath expression.
    """
    if condition is not None:
        compile_condition(check_text("condition", condition, max_length=10_000))
    return condition


def check_reason(state: ReactionState, reason: str | None) -> str | None:
    """The reason of a state; an enabled reaction has none."""
    if state is ReactionState.ENABLED or reason is None:
        return None
    return check_text("state_reason", reason, max_length=1_000)


def checked_fields(changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return those of the changes that are neither of the call nor of the state.

    Raises:
        InvalidInput: if one cannot be used. Unchanged values are not checked: a reaction with a
            stored value that would be refused today can still be disabled, or mended field by
            field.
    """
    return {key: check(changes[key]) for key, check in _FIELDS.items() if key in changes}


_FIELDS: Final[dict[str, Callable[[Any], Any]]] = {
    "area_id": lambda area_id: None if area_id is None else check_text("area_id", area_id),
    "name": lambda name: check_text("name", name),
    "event_types": check_event_types,
    "condition": check_condition,
    "priority": check_priority,
}

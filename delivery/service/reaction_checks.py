"""Checks of the fields of a reaction other than its HTTP request."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from delivery.errors import InvalidReaction
from delivery.models import ReactionState
from delivery.policy.conditions import compile_condition
from delivery.policy.matching import validate_pattern
from delivery.service.checks import check_priority, check_text

__all__ = [
    "check_condition",
    "check_event_types",
    "check_metadata",
    "check_reason",
    "checked_fields",
]

_MAX_EVENT_TYPES: Final = 1_000
_MAX_METADATA: Final = 50
_MAX_METADATA_KEY: Final = 100
_MAX_METADATA_VALUE: Final = 1_000


def check_event_types(event_types: Sequence[str]) -> tuple[str, ...]:
    """Check and return the event type patterns.

    Raises:
        InvalidReaction: If there are none or too many, or one is malformed.
    """
    if isinstance(event_types, str) or not isinstance(event_types, Sequence):
        message = f"event_types is {event_types!r}; give a list of texts"
        raise InvalidReaction(message)
    if not 1 <= len(event_types) <= _MAX_EVENT_TYPES:
        message = f"event_types must have from 1 to {_MAX_EVENT_TYPES} entries"
        raise InvalidReaction(message)
    return tuple(validate_pattern(pattern) for pattern in event_types)


def check_condition(condition: str | None) -> str | None:
    """Check and return the condition.

    Raises:
        InvalidReaction: If it is not a JMESPath expression.
    """
    if condition is not None:
        compile_condition(check_text("condition", condition, max_length=10_000))
    return condition


def check_metadata(metadata: object) -> dict[str, str]:
    """Return the metadata of a reaction.

    Raises:
        InvalidReaction: The metadata is no mapping of strings, or has too many entries.
        InvalidInput: A key or value is empty, too long, or cannot be stored.
    """
    if not isinstance(metadata, Mapping):
        message = f"metadata is of type {type(metadata).__name__}; give a mapping of strings"
        raise InvalidReaction(message)
    if len(metadata) > _MAX_METADATA:
        message = f"metadata has {len(metadata)} entries; {_MAX_METADATA} is the maximum"
        raise InvalidReaction(message)
    checked = {}
    for key, value in metadata.items():
        name = check_text("a key of metadata", key, max_length=_MAX_METADATA_KEY)
        checked[name] = check_text(f"metadata[{name!r}]", value, max_length=_MAX_METADATA_VALUE)
    return checked


def check_reason(state: ReactionState, reason: str | None) -> str | None:
    """Return the reason of a state; an enabled reaction has none."""
    if state is ReactionState.ENABLED or reason is None:
        return None
    return check_text("state_reason", reason, max_length=1_000)


def checked_fields(changes: Mapping[str, Any]) -> dict[str, Any]:
    """Check and return the changes that belong neither to the call nor to the state.

    Raises:
        InvalidInput: If a value is invalid. Unchanged values are not checked, so that a reaction
            with an invalid stored value can be disabled, or repaired field by field.
    """
    return {key: check(changes[key]) for key, check in _FIELDS.items() if key in changes}


_FIELDS: Final[dict[str, Callable[[Any], Any]]] = {
    "area_id": lambda area_id: None if area_id is None else check_text("area_id", area_id),
    "name": lambda name: check_text("name", name),
    "event_types": check_event_types,
    "condition": check_condition,
    "priority": check_priority,
    "metadata": check_metadata,
}

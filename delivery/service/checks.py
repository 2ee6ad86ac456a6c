"""Checks of what callers give that is not part of an HTTP call."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from math import inf
from typing import TYPE_CHECKING, TypeVar
from uuid import UUID

from delivery.errors import InvalidInput
from delivery.spelling import closest
from delivery.wording import plain_number

if TYPE_CHECKING:
    from enum import StrEnum

__all__ = [
    "check_deadline",
    "check_id",
    "check_priority",
    "check_run_at",
    "check_seconds",
    "check_text",
    "check_word",
]

_MAX_PRIORITY = 32_767
_MAX_TEXT = 255

WordT = TypeVar("WordT", bound="StrEnum")


def check_text(name: str, value: object, *, max_length: int = _MAX_TEXT) -> str:
    """A text that is not empty, not long, and that PostgreSQL can hold.

    Raises:
        InvalidInput: if it is not.
    """
    if not isinstance(value, str):
        message = f"{name} must be a text, not {type(value).__name__}"
        raise InvalidInput(message)
    if not value or len(value) > max_length:
        message = f"{name} must have from 1 to {max_length} characters; it has {len(value)}"
        raise InvalidInput(message)
    if "\0" in value:
        message = f"{name} contains a NUL character; remove it"
        raise InvalidInput(message)
    return value


def check_id(name: str, value: UUID | str) -> UUID:
    """An id, given as UUID or text.

    Raises:
        InvalidInput: if the text is not a UUID.
    """
    if isinstance(value, UUID):
        return value
    try:
        return UUID(value)
    except (AttributeError, TypeError, ValueError):
        message = f"{name} is {value!r}, which is not a UUID"
        raise InvalidInput(message) from None


def check_word(name: str, value: str | None, words: type[WordT]) -> WordT | None:
    """One of the words of an enumeration, or None.

    Raises:
        InvalidInput: if it is another word; the text names the known ones.
    """
    if value is None:
        return None
    try:
        return words(value)
    except ValueError:
        near = closest(str(value), words)
        meant = f"; did you mean {near}?" if near else ""
        message = f"{name} is {value!r}; it must be one of {', '.join(words)}{meant}"
        raise InvalidInput(message) from None


def check_priority(value: object) -> int:
    """A priority, lower first.

    Raises:
        InvalidInput: if it is not from 0 to 32,767.
    """
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= _MAX_PRIORITY:
        message = f"priority is {value!r}; it must be a whole number from 0 to {_MAX_PRIORITY}"
        raise InvalidInput(message)
    return value


def check_run_at(
    run_at: datetime | None, delay: float | timedelta | None, now: datetime
) -> datetime | None:
    """When a job is to run first; None: now.

    Raises:
        InvalidInput: if both are given, the time has no zone, or the delay is negative or too long.
    """
    if run_at is not None and delay is not None:
        message = "give either run_at or delay, not both"
        raise InvalidInput(message)
    if run_at is not None:
        return _aware("run_at", run_at)
    if delay is None:
        return None
    try:
        length = delay if isinstance(delay, timedelta) else timedelta(seconds=delay)
        if length < timedelta(0):
            message = f"delay is {delay}; it must not be negative"
            raise InvalidInput(message)
        return now + length
    except (OverflowError, TypeError, ValueError) as error:
        if isinstance(error, InvalidInput):
            raise
        message = f"delay is {delay!r}; it must be a number of seconds or a timedelta"
        raise InvalidInput(message) from None


def check_deadline(deadline: datetime | None, now: datetime) -> datetime | None:
    """The time by which a job must have succeeded.

    Raises:
        InvalidInput: if it has no zone, or is not in the future.
    """
    if deadline is None:
        return None
    if _aware("deadline", deadline) <= now:
        message = f"deadline {deadline.isoformat()} is not in the future"
        raise InvalidInput(message)
    return deadline


def _aware(name: str, value: object) -> datetime:
    if not isinstance(value, datetime):
        message = f"{name} must be a datetime, not {type(value).__name__}"
        raise InvalidInput(message)
    if value.tzinfo is None:
        message = f"{name} has no time zone; give one, for instance datetime.now(UTC)"
        raise InvalidInput(message)
    return value.astimezone(UTC)


def check_seconds(name: str, value: object, most: float = inf) -> None:
    """Refuse what is neither None nor a number of seconds from 0 to `most`.

    Raises:
        InvalidInput: naming the argument, and what it may be.
    """
    if value is None:
        return
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not is_number or not 0 <= float(value) <= most:  # type: ignore[arg-type]
        up_to = "" if most == inf else f" to {plain_number(most)}"
        message = f"{name} is {value!r}; it must be seconds, from 0{up_to}, or None"
        raise InvalidInput(message)

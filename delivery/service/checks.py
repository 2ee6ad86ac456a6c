"""Checks of arguments that are not options of an HTTP call."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from math import inf
from typing import TYPE_CHECKING, TypeVar
from uuid import UUID

from delivery.errors import InvalidInput
from delivery.models.message_ids import parse_message_id
from delivery.spelling import closest
from delivery.wording import plain_number

if TYPE_CHECKING:
    from enum import StrEnum

__all__ = [
    "DEFAULT_PRIORITY",
    "check_deadline",
    "check_flag",
    "check_id",
    "check_listed",
    "check_message_id",
    "check_priority",
    "check_run_at",
    "check_seconds",
    "check_status_code",
    "check_tenant",
    "check_text",
    "check_word",
    "is_encodable",
]

DEFAULT_PRIORITY = 100
_MAX_PRIORITY = 32_767
_EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)
_LATEST = datetime(2200, 1, 1, tzinfo=UTC)
"""Range of plausible times. PostgreSQL treats some times beyond as infinite."""
_MAX_TEXT = 255
_MIN_STATUS, _MAX_STATUS = 100, 999
_LONGEST_SHOWN = 80

ItemT = TypeVar("ItemT")
WordT = TypeVar("WordT", bound="StrEnum")


def check_text(name: str, value: object, *, max_length: int = _MAX_TEXT) -> str:
    """Check and return a string that PostgreSQL can store.

    Raises:
        InvalidInput: If it is empty, too long, or contains NUL or a lone surrogate.
    """
    if not isinstance(value, str):
        message = f"{name} must be a string, not {type(value).__name__}"
        raise InvalidInput(message)
    if not value or len(value) > max_length:
        message = f"{name} must have from 1 to {max_length} characters; it has {len(value)}"
        raise InvalidInput(message)
    if "\0" in value:
        message = f"{name} contains a NUL character; remove it"
        raise InvalidInput(message)
    if not is_encodable(value):
        message = f"{name} contains a lone surrogate, which UTF-8 cannot encode; remove it"
        raise InvalidInput(message)
    return value


def is_encodable(text: str) -> bool:
    """Return whether UTF-8 can encode the string, which fails for lone surrogates."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def check_tenant(value: object) -> str:
    """Return the tenant to operate on.

    Raises:
        InvalidInput: If it is not a string of 1 to 255 characters.
    """
    return check_text("tenant_id", value)


def check_flag(name: str, value: object) -> bool:
    """Check and return a boolean argument.

    Raises:
        InvalidInput: If it has another type, such as the string "false", which is true in Python.
    """
    if not isinstance(value, bool):
        message = f"{name} is {_shown(value)}; it must be True or False"
        raise InvalidInput(message)
    return value


def check_status_code(value: object) -> int | None:
    """Check and return an HTTP status code, or None.

    Raises:
        InvalidInput: If it is not a whole number from 100 to 999.
    """
    if value is None:
        return None
    whole = isinstance(value, int) and not isinstance(value, bool)
    if not whole or not _MIN_STATUS <= value <= _MAX_STATUS:  # type: ignore[operator]
        message = f"status_code is {_shown(value)}; it must be a number such as 503"
        raise InvalidInput(message)
    return value  # type: ignore[return-value]


def _shown(value: object) -> str:
    """Return a short, printable form of an invalid value for an error message."""
    shown = repr(value)
    return shown if len(shown) <= _LONGEST_SHOWN else f"{shown[: _LONGEST_SHOWN - 3]}..."


def check_id(name: str, value: UUID | str) -> UUID:
    """Convert an id to a UUID.

    Raises:
        InvalidInput: If it is not a UUID.
    """
    if isinstance(value, UUID):
        return value
    try:
        return UUID(value)
    except (AttributeError, TypeError, ValueError):
        message = f"{name} is {_shown(value)}, which is not a UUID"
        raise InvalidInput(message) from None


def check_message_id(value: object) -> UUID:
    """Return the stored form of a `webhook-id`.

    Raises:
        InvalidInput: The value is not `msg_` and 32 hexadecimal digits.
    """
    number = parse_message_id(value) if isinstance(value, str) else None
    if number is None:
        message = (
            f"message id is {_shown(value)}, which is not a webhook-id of this engine;"
            " give `msg_` and 32 hexadecimal digits"
        )
        raise InvalidInput(message)
    return number


def check_word(name: str, value: str | None, words: type[WordT]) -> WordT | None:
    """Convert a string to a member of an enumeration; None stays None.

    Raises:
        InvalidInput: If there is no such member. The message lists the members.
    """
    if value is None:
        return None
    try:
        return words(value)
    except (TypeError, ValueError):
        near = closest(str(value), words)
        meant = f"; did you mean {near}?" if near else ""
        message = f"{name} is {_shown(value)}; it must be one of {', '.join(words)}{meant}"
        raise InvalidInput(message) from None


def check_priority(value: object) -> int:
    """Check and return a priority; lower values run first.

    Raises:
        InvalidInput: If it is not from 0 to 32,767.
    """
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= _MAX_PRIORITY:
        message = (
            f"priority is {_shown(value)}; it must be a whole number from 0 to {_MAX_PRIORITY}"
        )
        raise InvalidInput(message)
    return value


def check_run_at(
    run_at: datetime | None, delay: float | timedelta | None, now: datetime
) -> datetime | None:
    """Return the start time of a job; None for an immediate start.

    Raises:
        InvalidInput: If there are both time and delay, the time has no time zone or is not from
            1970 to 2200, or the delay is negative or too long.
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
        return _aware("delay", now + length)
    except (OverflowError, TypeError, ValueError) as error:
        if isinstance(error, InvalidInput):
            raise
        message = (
            f"delay is {_shown(delay)}; it must be a number of seconds or a timedelta, and end"
            " before the year 2200"
        )
        raise InvalidInput(message) from None


def check_deadline(deadline: datetime | None, now: datetime) -> datetime | None:
    """Check and return the time by which a job must succeed.

    Raises:
        InvalidInput: If it has no time zone, or is not in the future.
    """
    if deadline is None:
        return None
    checked = _aware("deadline", deadline)
    if checked <= now:
        message = f"deadline {deadline.isoformat()} is not in the future"
        raise InvalidInput(message)
    return checked


def _aware(name: str, value: object) -> datetime:
    if not isinstance(value, datetime):
        message = f"{name} must be a datetime, not {type(value).__name__}"
        raise InvalidInput(message)
    if value.tzinfo is None:
        message = f"{name} has no time zone; give one, for instance datetime.now(UTC)"
        raise InvalidInput(message)
    try:
        instant = value.astimezone(UTC)
    except (OverflowError, ValueError):
        instant = None
    if instant is None or not _EARLIEST <= instant <= _LATEST:
        message = (
            f"{name} results in {value.isoformat()}; it must be from"
            f" {_EARLIEST:%Y-%m-%d} to {_LATEST:%Y-%m-%d}"
        )
        raise InvalidInput(message)
    return instant


def check_seconds(name: str, value: object, most: float = inf) -> None:
    """Check that a value is None or a number of seconds from 0 to `most`.

    Raises:
        InvalidInput: With the argument and its range.
    """
    if value is None:
        return
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not is_number or not 0 <= float(value) <= most:  # type: ignore[arg-type]
        up_to = "" if most == inf else f" to {plain_number(most)}"
        message = f"{name} is {_shown(value)}; it must be seconds, from 0{up_to}, or None"
        raise InvalidInput(message)


def check_listed(given: Iterable[ItemT], name: str, items: str) -> Iterable[ItemT]:
    """Return `given` if it is iterable, but not a mapping or a string.

    Raises:
        InvalidInput: If it is something else.
    """
    value: object = given
    if isinstance(value, Mapping | str | bytes) or not isinstance(value, Iterable):
        message = f"{name} is of type {type(value).__name__}; give a list of {items}"
        raise InvalidInput(message)
    return given

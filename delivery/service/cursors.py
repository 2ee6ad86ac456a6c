"""Opaque cursors, which encode the end of a page."""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import TYPE_CHECKING, Protocol, TypeVar
from uuid import UUID

from delivery.errors import InvalidInput
from delivery.models import Page

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["MAX_PAGE", "check_limit", "decode_cursor", "page_of"]

MAX_PAGE = 200
_CURSOR_LENGTH = 24
"""Length of 16 bytes in base64 with padding."""


class _Identified(Protocol):
    @property
    def id(self) -> UUID: ...


ItemT = TypeVar("ItemT", bound=_Identified)


def decode_cursor(cursor: str | None) -> UUID | None:
    """Return the id before the next page.

    Raises:
        InvalidInput: If `page_of` did not return the cursor.
    """
    if cursor is None:
        return None
    given: object = cursor
    try:
        if not isinstance(given, str) or len(given) > _CURSOR_LENGTH:
            raise ValueError  # noqa: TRY301 - the same error as for undecodable text
        return UUID(bytes=urlsafe_b64decode(given + "=="))
    except ValueError:
        message = (
            f"{ascii(given)[:80]} is not a cursor; pass the next_cursor of the previous page,"
            " unchanged"
        )
        raise InvalidInput(message) from None


def page_of(found: Sequence[ItemT], limit: int) -> Page[ItemT]:
    """Build a page of at most `limit` items from a query for `limit + 1`."""
    if len(found) <= limit:
        return Page(tuple(found), None)
    items = tuple(found[:limit])
    return Page(items, urlsafe_b64encode(items[-1].id.bytes).rstrip(b"=").decode())


def check_limit(limit: object) -> int:
    """Check and return a page size.

    Raises:
        InvalidInput: If it is not from 1 to 200.
    """
    if isinstance(limit, bool) or not isinstance(limit, int) or not 1 <= limit <= MAX_PAGE:
        message = f"limit is {ascii(limit)[:80]}; it must be from 1 to {MAX_PAGE}"
        raise InvalidInput(message)
    return limit

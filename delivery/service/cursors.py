"""Opaque cursors: where a page ended, in a form that promises nothing about what is in it."""

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
"""Characters: 16 bytes in base64, with padding."""


class _Identified(Protocol):
    @property
    def id(self) -> UUID: ...


ItemT = TypeVar("ItemT", bound=_Identified)


def decode_cursor(cursor: str | None) -> UUID | None:
    """The id after which the next page begins.

    Raises:
        InvalidInput: if the cursor is not one that `page_of` gave.
    """
    if cursor is None:
        return None
    given: object = cursor
    try:
        if not isinstance(given, str) or len(given) > _CURSOR_LENGTH:
            raise ValueError  # noqa: TRY301 - the same error as of a text that cannot be decoded
        return UUID(bytes=urlsafe_b64decode(given + "=="))
    except ValueError:
        message = (
            f"{ascii(given)[:80]} is not a cursor; give the next_cursor of the page before,"
            " unchanged"
        )
        raise InvalidInput(message) from None


def page_of(found: Sequence[ItemT], limit: int) -> Page[ItemT]:
    """A page of at most `limit` items, of which `limit + 1` were asked for."""
    if len(found) <= limit:
        return Page(tuple(found), None)
    items = tuple(found[:limit])
    return Page(items, urlsafe_b64encode(items[-1].id.bytes).rstrip(b"=").decode())


def check_limit(limit: object) -> int:
    """`limit` itself, if it is a page's size.

    Raises:
        InvalidInput: if it is not from 1 to 200.
    """
    if isinstance(limit, bool) or not isinstance(limit, int) or not 1 <= limit <= MAX_PAGE:
        message = f"limit is {ascii(limit)[:80]}; it must be from 1 to {MAX_PAGE}"
        raise InvalidInput(message)
    return limit

"""Identifiers of messages: the `webhook-id` of requests and its stored form. Pure.

A `webhook-id` is `msg_` and the 32 hexadecimal digits of a UUID, which is stored with the job.
"""

from __future__ import annotations

import re
from typing import Final
from uuid import UUID

__all__ = ["format_message_id", "is_message_id_text", "parse_message_id"]

_PREFIX: Final = "msg_"
_FORMAT: Final = re.compile(r"msg_([0-9a-f]{32})")


def format_message_id(number: UUID) -> str:
    """Return the `webhook-id` of a message."""
    return f"{_PREFIX}{number.hex}"


def is_message_id_text(text: object) -> bool:
    """Return True if the argument looks like a `webhook-id` rather than another kind of id."""
    return isinstance(text, str) and text.strip().startswith(_PREFIX)


def parse_message_id(text: str) -> UUID | None:
    """Return the stored form of a `webhook-id`; None for a string in any other format."""
    found = _FORMAT.fullmatch(text.strip().lower())
    return None if found is None else UUID(found[1])

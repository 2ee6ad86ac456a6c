"""What of an exchange is stored: redacted, scrubbed of known secrets, and cut."""

from __future__ import annotations

from typing import TYPE_CHECKING

from delivery.message.redaction.bodies import redact_body
from delivery.message.redaction.by_name import redact_head
from delivery.message.redaction.scrubber import FEWEST_CHARACTERS
from delivery.message.request.head import cut_head

if TYPE_CHECKING:
    from delivery.message.redaction.scrubber import Scrubber
    from delivery.models import Exchange

__all__ = ["is_cut_off", "storable_body", "storable_head", "storable_text"]


def storable_head(head: bytes, scrubber: Scrubber | None, limit: int) -> bytes:
    """Return the heads of a response as they may be stored, in about `limit` bytes at most.

    They are cut between fields, which leaves no part of a secret behind.
    """
    if len(head) <= limit:
        return redact_head(head) if scrubber is None else scrubber.scrub_head(head)
    if all(len(each.partition(b"\n")[0]) <= limit // 8 for each in head.split(b"\r\n\r\n")):
        # Cut before it is looked through, which costs time for each byte.
        return _redact_or_scrub(cut_head(head, limit), scrubber)
    # Where a first line itself is cut, so might be a secret in it.
    return cut_head(_redact_or_scrub(head, scrubber), limit)


def _redact_or_scrub(head: bytes, scrubber: Scrubber | None) -> bytes:
    return redact_head(head) if scrubber is None else scrubber.scrub_head(head)


def storable_body(
    body: bytes, scrubber: Scrubber | None, limit: int, *, cut: bool = False
) -> bytes:
    """As much of a body as may be stored, at most `limit` bytes; if it is all, the same object.

    Args:
        body: The part of it that was sent or received.
        scrubber: Finds known secrets; None: there are none.
        limit: Bytes to keep at most.
        cut: Whether more of it was to come, so that it may end in the middle of a secret.
    """
    if len(body) < FEWEST_CHARACTERS:
        # Such as `ok`; there is no room for a secret and its name.
        return body[:limit]
    if scrubber is None:
        return redact_body(body[:limit])
    room = limit + scrubber.longest
    stored = body[:room]
    if cut or len(body) > room:
        stored = scrubber.scrub_cut_end(stored)
    stored = scrubber.scrub(stored)
    if len(body) > room:
        # Half a secret may stand at the end, and come forward where others before it were hidden.
        stored = stored[: max(len(stored) - scrubber.longest, 0)]
    return redact_body(stored)[:limit]


def is_cut_off(exchange: Exchange) -> bool:
    """Whether more of the response's body was to come than was received."""
    return exchange.truncated or exchange.failure_kind is not None


def storable_text(text: str | None, scrubber: Scrubber | None) -> str | None:
    """An error as it may be stored: without secrets, and without NUL, which PostgreSQL refuses."""
    if text is None:
        return None
    return (text if scrubber is None else scrubber.scrub_text(text)).replace("\0", "\ufffd")

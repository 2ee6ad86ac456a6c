"""Storable parts of an exchange: redacted, scrubbed of known secrets, and cut to a limit."""

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
    """Redact, scrub and cut the heads of a response to about `limit` bytes.

    Heads are cut between fields, so that no part of a secret remains.
    """
    if len(head) <= limit:
        return redact_head(head) if scrubber is None else scrubber.scrub_head(head)
    if all(len(each.partition(b"\n")[0]) <= limit // 8 for each in head.split(b"\r\n\r\n")):
        # Cut first, because redaction costs time for each byte.
        return _redact_or_scrub(cut_head(head, limit), scrubber)
    # Redact first, because the cut can be within a secret of a first line.
    return cut_head(_redact_or_scrub(head, scrubber), limit)


def _redact_or_scrub(head: bytes, scrubber: Scrubber | None) -> bytes:
    return redact_head(head) if scrubber is None else scrubber.scrub_head(head)


def storable_body(
    body: bytes, scrubber: Scrubber | None, limit: int, *, cut: bool = False
) -> bytes:
    """Redact, scrub and cut a body to `limit` bytes; return the same object if unchanged.

    Args:
        body: Sent or received part of the body.
        scrubber: Scrubber of known secrets; None: there are none.
        limit: Maximum size in bytes.
        cut: True if the body is incomplete and may end within a secret.
    """
    if len(body) < FEWEST_CHARACTERS:
        # A short body such as `ok` has no room for a secret.
        return body[:limit]
    if scrubber is None:
        return redact_body(body[:limit])
    room = limit + scrubber.longest
    stored = body[:room]
    if cut or len(body) > room:
        stored = scrubber.scrub_cut_end(stored)
    stored = scrubber.scrub(stored)
    if len(body) > room:
        # The end can be half a secret, which moves forward as earlier secrets become `***`.
        stored = stored[: max(len(stored) - scrubber.longest, 0)]
    return redact_body(stored)[:limit]


def is_cut_off(exchange: Exchange) -> bool:
    """Return True if the received body of the response is incomplete."""
    return exchange.truncated or exchange.failure_kind is not None


def storable_text(text: str | None, scrubber: Scrubber | None) -> str | None:
    """Scrub an error, and replace NUL, which PostgreSQL cannot store."""
    if text is None:
        return None
    return (text if scrubber is None else scrubber.scrub_text(text)).replace("\0", "\ufffd")

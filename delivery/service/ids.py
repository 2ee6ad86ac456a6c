"""`engine.ids`: ids from their first or last digits, and names from ids."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final
from uuid import UUID

from delivery.errors import InvalidInput, NotFound
from delivery.models.message_ids import is_message_id_text
from delivery.service.checks import check_id, check_listed, check_tenant, check_text
from delivery.service.messages import find_job, find_trigger
from delivery.spelling import did_you_mean
from delivery.store import ids
from delivery.store.ids import IdKind

if TYPE_CHECKING:
    from collections.abc import Iterable

    from delivery.store.driver.connection import Pool

__all__ = ["IdKind", "Ids"]

_DIGITS: Final = re.compile(r"[0-9a-f]{4,32}")
_WHOLE: Final = 32
_KINDS: Final[tuple[IdKind, ...]] = ("trigger", "job", "log", "reaction")
_SHOWN: Final = 5
"""Maximum number of candidates in an error."""


class Ids:
    """Lookup of ids by a part, and of names by ids."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def find(self, kind: IdKind, text: object, *, tenant_id: str = "default") -> UUID:
        """Return the one id that begins or ends with these digits.

        Args:
            kind: `trigger`, `job`, `log` or `reaction`.
            text: At least four hex digits, with or without hyphens. A complete id is returned
                unchanged, even if it does not exist. For a job or a trigger, also the `webhook-id`
                of a request.
            tenant_id: Tenant of the object.

        Returns:
            The id. Only the newest 100,000 rows are searched; older ids must be complete.

        Raises:
            InvalidInput: If it is not a part of an id, or is ambiguous; the message lists the ids.
            NotFound: If no id matches.
        """
        if isinstance(text, UUID):
            return text
        if kind not in _KINDS:
            message = f"there are no ids of kind {kind!r}{did_you_mean(kind, _KINDS)}"
            raise InvalidInput(message)
        if kind in {"job", "trigger"} and isinstance(text, str) and is_message_id_text(text):
            find = find_job if kind == "job" else find_trigger
            return await find(self._pool, text, check_text("tenant_id", tenant_id))
        digits = text.strip().strip("…").replace("-", "").lower() if isinstance(text, str) else ""
        if not _DIGITS.fullmatch(digits):
            message = (
                f"{kind} id is {text!r}, which is not a UUID, nor at least 4 digits of its"
                " beginning or end"
            )
            raise InvalidInput(message)
        if len(digits) == _WHOLE:
            return UUID(digits)
        tenant_id = check_text("tenant_id", tenant_id)
        found = await ids.find(self._pool, kind, digits, tenant_id, _SHOWN + 1)
        if not found:
            message = f"no {kind} in tenant {tenant_id!r} has an id that begins or ends {text!r}"
            raise NotFound(message + await self._found_elsewhere(kind, digits, tenant_id))
        if len(found) > 1:
            shown = ", ".join(str(each) for each in found[:_SHOWN])
            more = " and others" if len(found) > _SHOWN else ""
            message = f"several {kind} ids begin or end {text!r}: {shown}{more}; give more digits"
            raise InvalidInput(message)
        return found[0]

    async def reaction_names(
        self, of: Iterable[UUID | str], *, tenant_id: str = "default"
    ) -> dict[UUID, str]:
        """Return the names of reactions by their ids, in one round trip.

        Reactions that are deleted or belong to another tenant are missing in the result.

        Raises:
            InvalidInput: If `of` is not a list of ids.
        """
        check_tenant(tenant_id)
        asked = {check_id("reaction id", each) for each in check_listed(of, "of", "ids")}
        return await ids.reaction_names(self._pool, asked, tenant_id) if asked else {}

    async def _found_elsewhere(self, kind: IdKind, digits: str, tenant_id: str) -> str:
        """Return the other objects with such an id, for the end of an error message."""
        for other in _KINDS:
            if other != kind and await ids.find(self._pool, other, digits, tenant_id, 1):
                return f"; a {other} has such an id"
        return ""

"""Search for ids by their first or last digits, and for names by ids."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal
from uuid import UUID

from asyncpg.pgproto import pgproto

from delivery.store.statements import statement

if TYPE_CHECKING:
    from collections.abc import Iterable

    from delivery.store.driver.connection import Queryable

__all__ = ["SEARCHED", "DriverUUID", "IdKind", "find", "reaction_names"]

DriverUUID: Final[type[UUID]] = pgproto.UUID
"""The driver's own class of UUIDs; its values equal those of the standard library."""

IdKind = Literal["trigger", "job", "log", "reaction"]
SEARCHED: Final = 100_000
"""Maximum number of rows that are searched for either end, newest first."""
_DIGITS: Final = 32


async def find(
    executor: Queryable, kind: IdKind, digits: str, tenant_id: str, limit: int
) -> list[UUID]:
    """Return up to `limit` ids that begin or end with these hex digits, newest first."""
    rows = await executor.fetch(
        statement(f"find_{kind}_ids"),
        tenant_id,
        UUID(digits.ljust(_DIGITS, "0")),
        UUID(digits.ljust(_DIGITS, "f")),
        digits,
        SEARCHED,
        limit,
    )
    return [row["id"] for row in rows]


async def reaction_names(
    executor: Queryable, reaction_ids: Iterable[UUID], tenant_id: str
) -> dict[UUID, str]:
    """Return the names of the tenant's reactions by id; deleted reactions are left out."""
    rows = await executor.fetch(statement("reaction_names"), list(reaction_ids), tenant_id)
    return {row["id"]: row["name"] for row in rows}

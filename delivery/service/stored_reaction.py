"""Read of one stored reaction, with checks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from delivery.errors import NotFound
from delivery.service.checks import check_id, check_tenant
from delivery.store import reactions

if TYPE_CHECKING:
    from uuid import UUID

    from delivery.store.driver.connection import Pool
    from delivery.store.reactions import StoredReaction

__all__ = ["find_reaction", "no_such_reaction"]


async def find_reaction(pool: Pool, reaction_id: UUID | str, tenant_id: str) -> StoredReaction:
    """Read a reaction.

    Raises:
        InvalidInput: If the id or the tenant is invalid.
        NotFound: If this tenant has none with this id.
    """
    key = check_id("reaction id", reaction_id)
    found = await reactions.get(pool, key, check_tenant(tenant_id))
    if found is None:
        raise no_such_reaction(key, tenant_id)
    return found


def no_such_reaction(reaction_id: UUID, tenant_id: str) -> NotFound:
    """Return the error for a missing reaction."""
    return NotFound(f"there is no reaction {reaction_id} in tenant {tenant_id!r}")

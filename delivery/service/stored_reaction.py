"""One reaction as it is stored, or the error that there is none."""

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
        InvalidInput: if the id or the tenant cannot be used.
        NotFound: if there is none with this id in this tenant.
    """
    key = check_id("reaction id", reaction_id)
    found = await reactions.get(pool, key, check_tenant(tenant_id))
    if found is None:
        raise no_such_reaction(key, tenant_id)
    return found


def no_such_reaction(reaction_id: UUID, tenant_id: str) -> NotFound:
    """Return the error that a tenant has no reaction with this id."""
    return NotFound(f"there is no reaction {reaction_id} in tenant {tenant_id!r}")

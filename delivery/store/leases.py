"""Leases: their holders, and their unsettled jobs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import orjson

from delivery.errors import ReadOnlyDatabase
from delivery.message.redaction.by_name import redact_url
from delivery.store.statements import statement

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from uuid import UUID

    import asyncpg

    from delivery.store.driver.connection import Queryable

__all__ = ["UnsettledJob", "holders", "lock_dead", "lock_own", "owned_by", "remove", "unsettled"]


@dataclass(frozen=True, slots=True)
class UnsettledJob:
    """Job of a lease whose claim was never settled."""

    job_id: UUID
    claim: int
    lane: UUID
    priority: int
    attempt: int
    uncounted: int
    stalls: int
    trigger_id: UUID | None
    reaction_id: UUID | None
    tenant_id: str
    method: str
    endpoint: str


async def holders(executor: Queryable) -> dict[UUID, datetime | None]:
    """Return the last heartbeat of each holder of leases; None: the holder never registered.

    Raises:
        ReadOnlyDatabase: A standby may report old heartbeats.
    """
    rows = await executor.fetch(statement("list_lease_holders"))
    if rows and rows[0]["is_read_only"]:
        message = "heartbeats cannot be judged on a read-only connection"
        raise ReadOnlyDatabase(message)
    return {row["worker_id"]: row["seen_at"] for row in rows}


async def owned_by(executor: Queryable, worker_id: UUID) -> set[UUID]:
    """Return the leases of a worker."""
    rows = await executor.fetch(statement("list_own_leases"), worker_id)
    return {row["id"] for row in rows}


async def lock_dead(
    executor: Queryable, worker_id: UUID, seen_at: datetime | None, excluded: Sequence[UUID]
) -> UUID | None:
    """Lock one lease of a worker without a heartbeat since `seen_at`, in the caller's transaction.

    Excluded leases are left out.
    """
    return await executor.fetchval(  # type: ignore[no-any-return]
        statement("lock_dead_lease"), worker_id, seen_at, excluded
    )


async def lock_own(executor: Queryable, lease_id: UUID, worker_id: UUID) -> bool:
    """Lock a lease of this worker in the caller's transaction; return False if it is missing."""
    found = await executor.fetchval(statement("lock_lease"), lease_id, worker_id)
    return found is not None


async def unsettled(executor: Queryable, lease_id: UUID) -> list[UnsettledJob]:
    """Return the unsettled jobs of a locked lease."""
    rows = await executor.fetch(statement("unsettled_jobs"), lease_id)
    return [_unsettled_job(row) for row in rows]


async def remove(executor: Queryable, lease_id: UUID) -> None:
    """Delete a lease without unsettled jobs."""
    await executor.execute(statement("delete_lease"), lease_id)


def _unsettled_job(row: asyncpg.Record) -> UnsettledJob:
    try:
        params = orjson.loads(row["params"])
        method, endpoint = params["method"], redact_url(params["url"])
    except (KeyError, TypeError, ValueError):
        # The job must return to the queue even if its request cannot be read.
        method, endpoint = "?", "?"
    return UnsettledJob(
        job_id=row["job_id"],
        claim=row["claim"],
        lane=row["lane"],
        priority=row["priority"],
        attempt=row["attempt"],
        uncounted=row["uncounted"],
        stalls=row["stalls"],
        trigger_id=row["trigger_id"],
        reaction_id=row["reaction_id"],
        tenant_id=row["tenant_id"],
        method=method,
        endpoint=endpoint,
    )

"""Leases: who holds them, and what is left unsettled in one."""

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

    from delivery.store.driver.connection import Executor

__all__ = ["UnsettledJob", "holders", "lock_dead", "lock_own", "owned_by", "remove", "unsettled"]


@dataclass(frozen=True, slots=True)
class UnsettledJob:
    """A job that is in a lease, and of whose claim no result was written."""

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


async def holders(executor: Executor) -> dict[UUID, datetime | None]:
    """Return the workers that hold leases, and when each was last seen (None: never registered).

    Raises:
        ReadOnlyDatabase: A standby may report old heartbeats.
    """
    rows = await executor.fetch(statement("list_lease_holders"))
    if rows and rows[0]["is_read_only"]:
        message = "heartbeats cannot be judged on a read-only connection"
        raise ReadOnlyDatabase(message)
    return {row["worker_id"]: row["seen_at"] for row in rows}


async def owned_by(executor: Executor, worker_id: UUID) -> set[UUID]:
    """The leases a worker holds."""
    rows = await executor.fetch(statement("list_own_leases"), worker_id)
    return {row["id"] for row in rows}


async def lock_dead(
    executor: Executor, worker_id: UUID, seen_at: datetime | None, but: Sequence[UUID]
) -> UUID | None:
    """Lock one lease of a worker not seen since `seen_at`, within the caller's transaction.

    The leases in `but` are left out.
    """
    return await executor.fetchval(  # type: ignore[no-any-return]
        statement("lock_dead_lease"), worker_id, seen_at, but
    )


async def lock_own(executor: Executor, lease_id: UUID, worker_id: UUID) -> bool:
    """Lock a lease of this worker's, within the caller's transaction; False if it is gone."""
    found = await executor.fetchval(statement("lock_lease"), lease_id, worker_id)
    return found is not None


async def unsettled(executor: Executor, lease_id: UUID) -> list[UnsettledJob]:
    """The jobs of a locked lease whose claim was never settled."""
    rows = await executor.fetch(statement("unsettled_jobs"), lease_id)
    return [_unsettled_job(row) for row in rows]


async def remove(executor: Executor, lease_id: UUID) -> None:
    """Remove a lease in which nothing is unsettled."""
    await executor.execute(statement("remove_lease"), lease_id)


def _unsettled_job(row: asyncpg.Record) -> UnsettledJob:
    try:
        params = orjson.loads(row["params"])
        method, endpoint = params["method"], redact_url(params["url"])
    except (KeyError, TypeError, ValueError):
        # The row must come back to the queue even if what it was to send cannot be read.
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

"""Triggers, for reading, and the states of their jobs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from delivery.clock import jobs_of_trigger
from delivery.models import JobStatus, Trigger
from delivery.store.statements import statement

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID

    import asyncpg

    from delivery.store.driver.connection import Queryable

__all__ = ["get", "list_page", "statuses"]


def _trigger(row: asyncpg.Record) -> Trigger:
    return Trigger(
        id=row["id"],
        tenant_id=row["tenant_id"],
        type=row["type"],
        payload=row["payload"],
        created_at=row["created_at"],
        jobs=tuple(row["jobs"]),
    )


async def get(executor: Queryable, trigger_id: UUID, tenant_id: str) -> Trigger | None:
    """Return one trigger with the ids of its jobs."""
    row = await executor.fetchrow(
        statement("get_trigger"), trigger_id, tenant_id, *jobs_of_trigger(trigger_id)
    )
    return None if row is None else _trigger(row)


async def list_page(
    executor: Queryable, *, tenant_id: str, after: UUID | None, event_type: str | None, limit: int
) -> list[Trigger]:
    """Return a page of triggers, newest first, without the ids of their jobs."""
    rows = await executor.fetch(statement("list_triggers"), tenant_id, after, event_type, limit)
    return [_trigger(row) for row in rows]


async def statuses(
    executor: Queryable, trigger_ids: Sequence[UUID], tenant_id: str
) -> dict[UUID, dict[JobStatus, int]]:
    """Count the jobs of each trigger by status; a trigger without jobs has no counts."""
    ranges = [jobs_of_trigger(trigger_id) for trigger_id in trigger_ids]
    counts: dict[UUID, dict[JobStatus, int]] = {trigger_id: {} for trigger_id in trigger_ids}
    for row in await executor.fetch(
        statement("trigger_statuses"),
        list(trigger_ids),
        [first for first, _ in ranges],
        [last for _, last in ranges],
        tenant_id,
    ):
        counts[row["trigger_id"]][JobStatus(row["status"])] = row["jobs"]
    return counts

"""Jobs, for reading."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from delivery.clock import jobs_of_trigger
from delivery.models import FailureKind, Job, JobStatus
from delivery.models.message_ids import format_message_id
from delivery.store.statements import statement

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID

    import asyncpg

    from delivery.store.driver.connection import Queryable

__all__ = ["Sender", "find_sender", "get", "list_of_message", "list_page", "new_direct_job"]


@dataclass(frozen=True, slots=True)
class Sender:
    """Newest job that sends a message."""

    job_id: UUID
    trigger_id: UUID | None
    """None for a direct job."""


def _job(row: asyncpg.Record) -> Job:
    return Job(
        id=row["id"],
        tenant_id=row["tenant_id"],
        user_id=row["user_id"],
        trigger_id=row["trigger_id"],
        reaction_id=row["reaction_id"],
        reaction_version=row["reaction_version"],
        message_id=format_message_id(row["message_id"]),
        priority=row["priority"],
        status=JobStatus(row["status"]),
        attempt=row["attempt"],
        max_attempts=row["max_attempts"],
        run_at=row["run_at"],
        deadline=row["deadline"],
        failure_kind=FailureKind.of_stored(row["failure_kind"]),
        exhausted=row["exhausted"],
        status_code=row["status_code"],
        error=row["error"],
        stalls=row["stalls"],
        locked_by=row["locked_by"],
        locked_at=row["locked_at"],
        created_at=row["created_at"],
        started_at=row["started_at"],
        finished_at=row["finished_at"],
        updated_at=row["updated_at"],
    )


def new_direct_job(
    job_id: UUID,
    tenant_id: str,
    *,
    user_id: str | None,
    priority: int,
    max_attempts: int,
    run_at: datetime | None,
    deadline: datetime | None,
    created_at: datetime,
) -> Job:
    """Return a new direct job without reading it from the database."""
    return Job(
        id=job_id,
        tenant_id=tenant_id,
        user_id=user_id,
        trigger_id=None,
        reaction_id=None,
        reaction_version=None,
        message_id=format_message_id(job_id),
        priority=priority,
        status=JobStatus.QUEUED,
        attempt=0,
        max_attempts=max_attempts,
        run_at=created_at if run_at is None else run_at,
        deadline=deadline,
        failure_kind=None,
        exhausted=False,
        status_code=None,
        error=None,
        stalls=0,
        locked_by=None,
        locked_at=None,
        created_at=created_at,
        started_at=None,
        finished_at=None,
        updated_at=created_at,
    )


async def get(executor: Queryable, job_id: UUID, tenant_id: str) -> Job | None:
    """Return one job of the tenant."""
    row = await executor.fetchrow(statement("get_job"), job_id, tenant_id)
    return None if row is None else _job(row)


async def list_page(
    executor: Queryable,
    *,
    tenant_id: str,
    after: UUID | None,
    status: JobStatus | None,
    reaction_id: UUID | None,
    trigger_id: UUID | None,
    oldest_first: bool,
    limit: int,
) -> list[Job]:
    """Return a page of jobs by creation time, oldest or newest first."""
    first, last = (None, None) if trigger_id is None else jobs_of_trigger(trigger_id)
    rows = await executor.fetch(
        statement("list_jobs_oldest" if oldest_first else "list_jobs_newest"),
        tenant_id,
        after,
        None if status is None else status.value,
        reaction_id,
        first,
        last,
        limit,
    )
    return [_job(row) for row in rows]


async def list_of_message(
    executor: Queryable,
    *,
    message_id: UUID,
    tenant_id: str,
    after: UUID | None,
    status: JobStatus | None,
    reaction_id: UUID | None,
    trigger_id: UUID | None,
    oldest_first: bool,
    limit: int,
) -> list[Job]:
    """Return a page of the jobs that send a message: its first job and redeliveries of it."""
    rows = await executor.fetch(
        statement("list_jobs_of_message"),
        tenant_id,
        message_id,
        after,
        None if status is None else status.value,
        reaction_id,
        trigger_id,
        oldest_first,
        limit,
    )
    return [_job(row) for row in rows]


async def find_sender(executor: Queryable, message_id: UUID, tenant_id: str) -> Sender | None:
    """Return the newest job that sends a message; None if there is none."""
    row = await executor.fetchrow(statement("find_message"), tenant_id, message_id)
    return None if row is None else Sender(**row)

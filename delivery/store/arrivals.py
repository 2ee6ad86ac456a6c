"""New triggers and jobs: the statement that writes them, and the statement for direct jobs."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from delivery.store.driver.caller import one_number

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID

    from delivery.store.driver.caller import CallersTransaction
    from delivery.store.driver.connection import Queryable

__all__ = ["FanOut", "NewJob", "NewTrigger", "insert_direct_job", "write_fan_out"]

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class NewTrigger(NamedTuple):
    """Trigger to be written: the parameters of `fan_out.sql`, in its order."""

    id: UUID
    event_type: str
    payload: bytes
    """Payload as stored."""


class NewJob(NamedTuple):
    """Job to be written: the parameters of `fan_out.sql`, in its order."""

    id: UUID
    trigger_id: UUID
    reaction_id: UUID
    reaction_version: int
    priority: int
    max_attempts: int
    run_at: datetime | None
    """Time of the first attempt; None: now."""
    deadline: datetime | None
    user_id: str | None


@dataclass(slots=True)
class FanOut:
    """Triggers and jobs to be written in one statement."""

    tenant_id: str
    catalog_version: int
    triggers: list[NewTrigger] = field(default_factory=list)
    jobs: list[NewJob] = field(default_factory=list)


def _columns(rows: Sequence[tuple[Any, ...]], width: int) -> list[Any]:
    if not rows:
        return [[] for _ in range(width)]
    # `unnest` fills shorter arrays with NULL, so an empty array does for a column of NULLs.
    return [
        [] if column.count(None) == len(column) else column for column in zip(*rows, strict=True)
    ]


async def write_fan_out(
    executor: Queryable | CallersTransaction, fan_out: FanOut
) -> datetime | None:
    """Write triggers and jobs in one statement.

    Returns the creation time, or None if nothing was written because the tenant's reactions have
    changed since `catalog_version`.
    """
    created_at = await one_number(
        executor,
        "fan_out",
        fan_out.tenant_id,
        fan_out.catalog_version,
        *_columns(fan_out.triggers, len(NewTrigger._fields)),
        *_columns(fan_out.jobs, len(NewJob._fields)),
    )
    return None if created_at is None else _time_of(created_at)


def _time_of(microseconds: int) -> datetime:
    return _EPOCH + timedelta(microseconds=microseconds)


async def insert_direct_job(
    executor: Queryable | CallersTransaction,
    *,
    job_id: UUID,
    lane: UUID,
    params: str,
    credentials: str,
    payload: bytes,
    priority: int,
    run_at: datetime | None,
    tenant_id: str,
    max_attempts: int,
    deadline: datetime | None,
    user_id: str | None,
) -> datetime:
    """Write a job without a reaction and return its creation time.

    `params` and `credentials` come from `encode_params`.
    """
    created_at = await one_number(
        executor,
        "insert_direct_job",
        job_id,
        lane,
        params,
        credentials,
        payload,
        priority,
        run_at,
        tenant_id,
        max_attempts,
        deadline,
        user_id,
    )
    assert created_at is not None
    return _time_of(created_at)

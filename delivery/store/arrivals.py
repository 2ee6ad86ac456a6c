"""New triggers and jobs: the one statement that writes them together, and that of direct jobs."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from delivery.store.driver.caller import one_number

if TYPE_CHECKING:
    from uuid import UUID

    from delivery.store.driver.caller import CallersTransaction
    from delivery.store.driver.connection import Executor

__all__ = ["FanOut", "insert_direct_job", "write_fan_out"]

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(slots=True)
class FanOut:
    """Triggers and jobs to be written at once, as rows in the order of the statement's columns."""

    tenant_id: str
    catalog_version: int
    triggers: list[tuple[UUID, str, bytes]] = field(default_factory=list)
    """Id, type, payload."""
    jobs: list[
        tuple[UUID, UUID, UUID, int, int, int, datetime | None, datetime | None, str | None]
    ] = field(default_factory=list)
    """Id, trigger, reaction, its version, priority, max_attempts, run_at, deadline, user."""


def _columns(rows: list[Any], width: int) -> list[Any]:
    if not rows:
        return [[] for _ in range(width)]
    # `unnest` fills up shorter arrays with NULL: a column of nothing else need not be sent.
    return [
        [] if column.count(None) == len(column) else column for column in zip(*rows, strict=True)
    ]


async def write_fan_out(
    executor: Executor | CallersTransaction, fan_out: FanOut
) -> datetime | None:
    """Write it all in one statement.

    Returns the time of creation, or None, with nothing written, if the tenant's reactions have
    changed since `catalog_version`.
    """
    created_at = await one_number(
        executor,
        "fan_out",
        fan_out.tenant_id,
        fan_out.catalog_version,
        *_columns(fan_out.triggers, 3),
        *_columns(fan_out.jobs, 9),
    )
    return None if created_at is None else _time_of(created_at)


def _time_of(microseconds: int) -> datetime:
    return _EPOCH + timedelta(microseconds=microseconds)


async def insert_direct_job(
    executor: Executor | CallersTransaction,
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
    """Write a job without a stored reaction, and return when that was.

    `params` and `credentials` are of `encode_params`.
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

"""Health of the endpoints of reactions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from delivery.message.storage.calls import StoredCall, same_request
from delivery.models import ReactionState
from delivery.policy.endpoint_health import HEALTHY, Health
from delivery.store.statements import statement

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from uuid import UUID

    import asyncpg

    from delivery.store.driver.connection import Queryable

__all__ = ["ExhaustedJob", "LockedHealth", "describe_exhausted", "lock", "reset", "write"]


@dataclass(frozen=True, slots=True)
class LockedHealth:
    """Locked reaction and the health of its endpoint."""

    tenant_id: str
    name: str
    state: ReactionState
    health: Health
    is_about_it: bool
    """True if the given version makes the same request as the current version."""


@dataclass(frozen=True, slots=True)
class ExhaustedJob:
    """Content of a `job.exhausted` trigger."""

    job_id: UUID
    tenant_id: str
    reaction_id: UUID | None
    reaction_name: str | None
    trigger_id: UUID | None
    trigger_type: str | None
    user_id: str | None
    attempt: int
    status_code: int | None
    failure_kind: str | None
    error: str | None


async def lock(executor: Queryable, called: Mapping[UUID, int | None]) -> dict[UUID, LockedHealth]:
    """Lock reactions in the caller's transaction; deleted reactions are left out.

    Args:
        executor: A connection in a transaction.
        called: The version that made the calls, by reaction; None: any version.
    """
    rows = await executor.fetch(statement("lock_health"), list(called), list(called.values()))
    return {
        row["id"]: LockedHealth(
            row["tenant_id"],
            row["name"],
            ReactionState(row["state"]),
            _health(row),
            row["is_latest"] or _is_same_request(row),
        )
        for row in rows
    }


def _is_same_request(row: asyncpg.Record) -> bool:
    """Return True if the calling version and the latest one make the same request."""
    if row["called_params"] is None or row["latest_params"] is None:
        return False
    return same_request(
        StoredCall(row["called_params"], row["called_credentials"]),
        StoredCall(row["latest_params"], row["latest_credentials"]),
    )


def _health(row: asyncpg.Record) -> Health:
    if row["failures"] is None:
        return HEALTHY
    return Health(
        row["failures"],
        row["failing_since"],
        row["throttles"],
        row["openings"],
        row["paused_until"],
        row["early"],
    )


async def write(executor: Queryable, changed: Mapping[UUID, Health]) -> None:
    """Write the health of reactions that the caller's transaction has locked."""
    health = changed.values()
    await executor.execute(
        statement("write_health"),
        list(changed),
        [each.failures for each in health],
        [each.failing_since for each in health],
        [each.throttles for each in health],
        [each.openings for each in health],
        [each.paused_until for each in health],
        [each.early for each in health],
    )


async def reset(executor: Queryable, reaction_id: UUID, tenant_id: str) -> bool:
    """Delete the health of an endpoint; return False if there is no such reaction."""
    return bool(await executor.fetchval(statement("reset_health"), reaction_id, tenant_id))


async def describe_exhausted(
    executor: Queryable, job_ids: Sequence[UUID], excluded_types: Sequence[str]
) -> list[ExhaustedJob]:
    """Return the content of `job.exhausted` for each job, except jobs of excluded event types."""
    rows = await executor.fetch(
        statement("describe_exhausted"), list(job_ids), list(excluded_types)
    )
    return [ExhaustedJob(**row) for row in rows]

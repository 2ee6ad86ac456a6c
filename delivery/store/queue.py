"""The queue: lanes with waiting jobs, and claims of batches into leases."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from operator import itemgetter
from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import UUID

import asyncpg

from delivery.store.driver.literals import inlined
from delivery.store.statements import statement

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from delivery.store.driver.connection import Queryable

__all__ = [
    "FIRST_LANE",
    "Claim",
    "ClaimedJob",
    "LaneKey",
    "WaitingLane",
    "claim",
    "find_lanes",
    "notification_usage",
    "notify",
]

LaneKey = tuple[UUID, int]
"""A lane and one priority within it; a claim takes its jobs in order of time."""

FIRST_LANE: LaneKey = (UUID(int=0), -1)
"""A cursor before every lane."""


@dataclass(frozen=True, slots=True)
class WaitingLane:
    """Lane with at least one waiting job."""

    key: LaneKey
    due_in: float
    """Seconds until the first job is due."""
    run_at: float
    """Due time of the first job, in seconds since the epoch."""


def _column(index: int) -> Any:
    """Return a property for one column; it costs half as much as a property with a function."""
    return property(itemgetter(index))


class ClaimedJob(asyncpg.Record):
    """Claimed job: a row of `claim.sql` with typed names.

    A subclass of the driver's record rather than a dataclass, because one is made per delivery.
    """

    __slots__ = ()

    job_id: UUID = _column(0)
    lane: UUID = _column(1)
    priority: int = _column(2)
    claim: int = _column(3)
    """Number of this claim; each claim of the job increments it."""
    trigger_id: UUID | None = _column(4)
    reaction_id: UUID | None = _column(5)
    """None for a direct job."""
    reaction_version: int | None = _column(6)
    tenant_id: str = _column(7)
    attempt: int = _column(8)
    """Number of attempts that ended before this claim."""
    uncounted: int = _column(9)
    """Number of these attempts that do not count towards `max_attempts`."""
    max_attempts: int = _column(10)
    created_at: float = _column(11)
    """Seconds since the epoch."""
    deadline: float | None = _column(12)
    """Seconds since the epoch."""
    event_type: str | None = _column(13)
    """None for a direct job."""
    payload: bytes | None = _column(14)
    """None if the record of the trigger is missing."""
    params: str | None = _column(15)
    """Request of a direct job, as stored; None for the job of a reaction."""
    credentials: str | None = _column(16)
    reaction_state: str | None = _column(17)
    """Current state of the reaction; None for a direct job."""
    run_at: float = _column(18)
    """Due time, in seconds since the epoch."""
    signing_version: int | None = _column(19)
    """Current version of the signing secrets of the reaction; None for a direct job."""
    due_at: float | None = _column(20)
    """Requested time of the first attempt, in seconds since the epoch; None: immediately."""
    failure_kind: str | None = _column(21)
    """Kind of the last failure; None before the first."""
    error: str | None = _column(22)
    """Error of the last failure; None before the first, or if there was a response."""
    status_code: int | None = _column(23)
    """Status of the last response; None if there was none."""
    message_id: UUID = _column(24)
    """Number of its message; see `delivery.models.message_ids`."""


class Claim(NamedTuple):
    """Claimed jobs by due time, and the lanes left out because of their limits."""

    jobs: list[ClaimedJob]
    limited: list[UUID]


async def find_lanes(executor: Queryable, after: LaneKey, limit: int) -> list[WaitingLane]:
    """Return the next lanes with waiting jobs, due or not, after a cursor."""
    rows = await executor.fetch(statement("find_lanes"), *after, limit)
    return [
        WaitingLane((row["lane"], row["priority"]), row["due_in"], row["run_at"]) for row in rows
    ]


async def claim(
    executor: Queryable,
    lease_id: UUID,
    worker_id: UUID,
    quotas: Sequence[tuple[LaneKey, int]],
    since: Mapping[LaneKey, float],
    *,
    limit: int | None = None,
    limits_held: bool = False,
) -> Claim:
    """Claim up to a quota of due jobs from each lane; without jobs no lease is made.

    Args:
        executor: A connection or pool.
        lease_id: Id of the new lease.
        worker_id: Holder of the lease.
        quotas: Maximum number of jobs of each lane and priority.
        since: Earliest due time for some of these, in seconds since the epoch.
        limit: Maximum number of jobs; lanes are served in the given order.
        limits_held: True if the caller's transaction has locked the limits of the lanes and the
            quotas respect them; otherwise lanes with limits are left out.
    """
    rows = await executor.fetch(
        statement("claim"),
        lease_id,
        worker_id,
        [key[0] for key, _ in quotas],
        [key[1] for key, _ in quotas],
        [quota for _, quota in quotas],
        [since.get(key, -inf) for key, _ in quotas],
        limits_held,
        limit,
        record_class=ClaimedJob,
    )
    limited = []
    # Lanes that were left out come last; their other columns are NULL.
    while rows and rows[-1][0] is None:
        limited.append(rows.pop().lane)
    return Claim(rows, limited)


async def notify(executor: Queryable, lanes: str) -> None:
    """Notify listening workers of lanes with new jobs; `delivery.queue.wakeups` has the format."""
    # With a literal it is one message to the server, without preparing a statement.
    await executor.execute(inlined(statement("notify_wake"), [lanes]))


async def notification_usage(executor: Queryable) -> float:
    """Return the usage of the notification queue, and let the server free read notifications."""
    return await executor.fetchval(  # type: ignore[no-any-return]
        statement("notification_queue_usage")
    )

"""The queue: which lanes have waiting jobs, and taking batches of them into leases."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from operator import itemgetter
from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import UUID

import asyncpg

from delivery.store.literals import inlined
from delivery.store.statements import statement

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from delivery.store.connection import Executor

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
"""A lane and one priority within it: what a claim takes from in order of time."""

FIRST_LANE: LaneKey = (UUID(int=0), -1)
"""A cursor before every lane."""


@dataclass(frozen=True, slots=True)
class WaitingLane:
    """A lane with at least one waiting job, and in how many seconds the first is due."""

    key: LaneKey
    due_in: float
    run_at: float
    """The same time in seconds since the epoch."""


def _column(index: int) -> Any:
    """Return a property for one column; it costs half of a property written as a function."""
    return property(itemgetter(index))


class ClaimedJob(asyncpg.Record):
    """One row of a claim; the columns of `claim.sql`, by name.

    A record of asyncpg's with typed names on it, rather than a dataclass made from one: it is made
    once per delivery.
    """

    __slots__ = ()

    job_id: UUID = _column(0)
    lane: UUID = _column(1)
    priority: int = _column(2)
    claim: int = _column(3)
    """The number of this claim; grows by one each time the job is claimed."""
    trigger_id: UUID | None = _column(4)
    reaction_id: UUID | None = _column(5)
    """None for a direct job."""
    reaction_version: int | None = _column(6)
    tenant_id: str = _column(7)
    attempt: int = _column(8)
    """Attempts that ended before this claim."""
    uncounted: int = _column(9)
    """How many of them do not count towards `max_attempts`."""
    max_attempts: int = _column(10)
    created_at: float = _column(11)
    """Seconds since the epoch."""
    deadline: float | None = _column(12)
    """Seconds since the epoch."""
    event_type: str | None = _column(13)
    """None for a direct job."""
    payload: bytes | None = _column(14)
    """None if the trigger's record is gone."""
    params: str | None = _column(15)
    """A direct job's call, as stored; None for a reaction's job."""
    credentials: str | None = _column(16)
    reaction_state: str | None = _column(17)
    """The reaction's state now; None for a direct job."""
    run_at: float = _column(18)
    """When it was due, in seconds since the epoch."""
    signing_version: int | None = _column(19)
    """Of the reaction's signing secrets now; None for a direct job."""
    due_at: float | None = _column(20)
    """When its first attempt was asked for, in seconds since the epoch; None: at once."""
    failure_kind: str | None = _column(21)
    """Of its last failure; None before the first."""
    error: str | None = _column(22)
    """Of its last failure; None before the first, or if there was a response."""
    status_code: int | None = _column(23)
    """Of the last response; None if there was none."""


class Claim(NamedTuple):
    """What a claim gave: jobs in order of time, and the lanes left out because of their limits."""

    jobs: list[ClaimedJob]
    limited: list[UUID]


async def find_lanes(executor: Executor, after: LaneKey, limit: int) -> list[WaitingLane]:
    """The next `limit` lanes with waiting jobs after a cursor, in order; due or not."""
    rows = await executor.fetch(statement("find_lanes"), *after, limit)
    return [
        WaitingLane((row["lane"], row["priority"]), row["due_in"], row["run_at"]) for row in rows
    ]


async def claim(
    executor: Executor,
    lease_id: UUID,
    worker_id: UUID,
    quotas: Sequence[tuple[LaneKey, int]],
    since: Mapping[LaneKey, float],
    *,
    limit: int | None = None,
    limits_held: bool = False,
) -> Claim:
    """Take up to a quota of due jobs from each lane into the lease; no lease is made for none.

    Args:
        executor: Where to claim.
        lease_id: The lease to make.
        worker_id: Who will hold it.
        quotas: How many jobs of which lane and priority at most.
        since: For some of these, before what time, in seconds since the epoch, not to look.
        limit: How many jobs at most in all; lanes are served in the order given.
        limits_held: Whether the caller's transaction has locked the lanes' limits, and has seen to
            it that the quotas keep to them; else lanes with limits are left out.
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
    # Lanes that were left out come last, with nothing else but their id.
    while rows and rows[-1][0] is None:
        limited.append(rows.pop().lane)
    return Claim(rows, limited)


async def notify(executor: Executor, lanes: str) -> None:
    """Tell listening workers of lanes with new jobs; see `delivery.engine.wake` for the text."""
    # With the text as a literal it is one message to the server; nothing is prepared for it.
    await executor.execute(inlined(statement("notify_wake"), [lanes]))


async def notification_usage(executor: Executor) -> float:
    """Return the usage of the notification queue, and let the server free read notifications."""
    return await executor.fetchval(  # type: ignore[no-any-return]
        statement("notification_queue_usage")
    )

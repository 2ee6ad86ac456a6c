"""The queue: which lanes have waiting jobs, and taking batches of them into leases."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING, NamedTuple
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


class ClaimedJob(asyncpg.Record):
    """One row of a claim; the columns of `claim.sql`, by name.

    A record of asyncpg's with typed names on it, rather than a dataclass made from one: it is made
    once per delivery.
    """

    __slots__ = ()

    @property
    def job_id(self) -> UUID:  # noqa: D102
        return self[0]  # type: ignore[no-any-return]

    @property
    def lane(self) -> UUID:  # noqa: D102
        return self[1]  # type: ignore[no-any-return]

    @property
    def priority(self) -> int:  # noqa: D102
        return self[2]  # type: ignore[no-any-return]

    @property
    def claim(self) -> int:
        """The number of this claim; grows by one each time the job is claimed."""
        return self[3]  # type: ignore[no-any-return]

    @property
    def trigger_id(self) -> UUID | None:  # noqa: D102
        return self[4]  # type: ignore[no-any-return]

    @property
    def reaction_id(self) -> UUID | None:
        """None for a direct job."""
        return self[5]  # type: ignore[no-any-return]

    @property
    def reaction_version(self) -> int | None:  # noqa: D102
        return self[6]  # type: ignore[no-any-return]

    @property
    def tenant_id(self) -> str:  # noqa: D102
        return self[7]  # type: ignore[no-any-return]

    @property
    def attempt(self) -> int:
        """Attempts that ended before this claim."""
        return self[8]  # type: ignore[no-any-return]

    @property
    def uncounted(self) -> int:
        """How many of them do not count towards `max_attempts`."""
        return self[9]  # type: ignore[no-any-return]

    @property
    def max_attempts(self) -> int:  # noqa: D102
        return self[10]  # type: ignore[no-any-return]

    @property
    def created_at(self) -> float:
        """Seconds since the epoch."""
        return self[11]  # type: ignore[no-any-return]

    @property
    def deadline(self) -> float | None:
        """Seconds since the epoch."""
        return self[12]  # type: ignore[no-any-return]

    @property
    def event_type(self) -> str | None:
        """None for a direct job."""
        return self[13]  # type: ignore[no-any-return]

    @property
    def payload(self) -> bytes | None:
        """None if the trigger's record is gone."""
        return self[14]  # type: ignore[no-any-return]

    @property
    def params(self) -> str | None:
        """A direct job's call, as stored; None for a reaction's job."""
        return self[15]  # type: ignore[no-any-return]

    @property
    def credentials(self) -> str | None:  # noqa: D102
        return self[16]  # type: ignore[no-any-return]

    @property
    def reaction_state(self) -> str | None:
        """The reaction's state now; None for a direct job."""
        return self[17]  # type: ignore[no-any-return]

    @property
    def run_at(self) -> float:
        """When it was due, in seconds since the epoch."""
        return self[18]  # type: ignore[no-any-return]

    @property
    def signing_version(self) -> int | None:
        """Of the reaction's signing secrets now; None for a direct job."""
        return self[19]  # type: ignore[no-any-return]

    @property
    def due_at(self) -> float | None:
        """When its first attempt was asked for, in seconds since the epoch; None: at once."""
        return self[20]  # type: ignore[no-any-return]

    @property
    def failure_kind(self) -> str | None:
        """Of its last failure; None before the first."""
        return self[21]  # type: ignore[no-any-return]

    @property
    def error(self) -> str | None:
        """Of its last failure; None before the first, or if there was a response."""
        return self[22]  # type: ignore[no-any-return]

    @property
    def status_code(self) -> int | None:
        """Of the last response; None if there was none."""
        return self[23]  # type: ignore[no-any-return]


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

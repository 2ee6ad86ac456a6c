"""Claims from lanes with limits over all workers.

Such a claim locks the limits of its lanes while it reads, decides and claims, so it needs a
transaction of several round trips. Lanes without limits are claimed by a single statement.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from delivery.policy.lane_limits import Grant, grant, next_due
from delivery.store import lane_limits, queue
from delivery.store.driver.transaction import transaction

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from uuid import UUID

    from delivery.policy.lane_limits import LaneLimits
    from delivery.store.driver.connection import Connection, Pool
    from delivery.store.lane_limits import LaneState
    from delivery.store.queue import ClaimedJob, LaneKey

__all__ = ["LimitedClaim", "claim_limited"]

_LONGEST_WAIT: Final = 1.0
"""Maximum number of seconds until the limits of a lane are read again: they may have changed."""

_LONGEST_WAIT_PAUSED: Final = 5.0
"""The same for a paused lane. There may be many when a large receiver is down."""

_LONGEST_WAIT_FAULTY: Final = 60.0
"""The same for a lane with invalid limits."""

_LOCKED_FOR: Final = 0.01
"""Seconds until lanes are tried again that another worker was claiming from."""


@dataclass(slots=True)
class LimitedClaim:
    """Result of a claim from limited lanes."""

    jobs: list[ClaimedJob] = field(default_factory=list)
    retry_in: dict[UUID, float | None] = field(default_factory=dict)
    """Lanes that were granted less than asked for although jobs wait, and the seconds until more
    may be granted. None: when a call of the lane ends in any worker."""
    unlimited: list[UUID] = field(default_factory=list)
    """Lanes that no longer have a limit. Nothing was claimed from them."""
    faulty: dict[UUID, str] = field(default_factory=dict)
    """Lanes with invalid limits, and the reasons. Nothing was claimed from them."""


async def claim_limited(
    pool: Pool, lease_id: UUID, worker_id: UUID, quotas: Sequence[tuple[LaneKey, int]]
) -> LimitedClaim:
    """Claim as many jobs as the limits grant, up to the quotas, into one lease.

    Raises:
        DatabaseError: The database cannot be reached. It is then unknown whether the lease exists.
    """
    claim = LimitedClaim()
    lanes = [lane for (lane, _), _ in quotas]
    granted: list[tuple[LaneKey, int]] = []
    async with transaction(pool) as connection:
        locked = await lane_limits.lock(connection, lanes)
        states = await lane_limits.look(connection, lanes)
        for (lane, priority), wanted in quotas:
            state = states[lane]
            if not state.limited:
                claim.unlimited.append(lane)
                continue
            try:
                decision = _decide(locked.get(lane), wanted, state)
            except (ArithmeticError, TypeError, ValueError) as error:
                # Changed by hand, for instance to a rate of zero.
                claim.faulty[lane] = f"{type(error).__name__}: {error}"
                claim.retry_in[lane] = _LONGEST_WAIT_FAULTY
                continue
            if decision.quota:
                due = priority if decision.priority is None else decision.priority
                granted.append(((lane, due), decision.quota))
            if decision.quota < wanted and state.first is not None:
                claim.retry_in[lane] = decision.retry_in
        if granted:
            granted, since = await _with_probes(connection, granted, locked)
            taken = await queue.claim(
                connection, lease_id, worker_id, granted, since, limits_held=True
            )
            claim.jobs = taken.jobs
            await _advance_rates(connection, locked, states, taken.jobs)
    return claim


async def _with_probes(
    connection: Connection,
    granted: list[tuple[LaneKey, int]],
    locked: Mapping[UUID, tuple[LaneLimits, float]],
) -> tuple[list[tuple[LaneKey, int]], dict[LaneKey, float]]:
    """Select a due job with earlier attempts for each lane with a half-open circuit.

    Ordered lanes are excluded: their jobs must run in order.
    """
    probing = [
        lane for (lane, _), _ in granted if locked[lane][0].probing and not locked[lane][0].ordered
    ]
    if not probing:
        return granted, {}
    probes = await lane_limits.find_probes(connection, probing)
    keys = {lane: (lane, priority) for lane, (priority, _) in probes.items()}
    since = {keys[lane]: run_at for lane, (_, run_at) in probes.items()}
    return [(keys.get(key[0], key), quota) for key, quota in granted], since


def _decide(locked: tuple[LaneLimits, float] | None, wanted: int, state: LaneState) -> Grant:
    if locked is None:
        return Grant(0, _LOCKED_FOR)
    limits, next_at = locked
    decision = grant(
        limits,
        wanted,
        in_flight=state.in_flight,
        first=state.first,
        next_at=next_at,
        now=state.now,
    )
    if decision.retry_in is None:
        return decision
    paused = limits.paused_until > state.now
    longest = _LONGEST_WAIT_PAUSED if paused else _LONGEST_WAIT
    return replace(decision, retry_in=min(decision.retry_in, longest))


async def _advance_rates(
    connection: Connection,
    locked: Mapping[UUID, tuple[LaneLimits, float]],
    states: Mapping[UUID, LaneState],
    jobs: Sequence[ClaimedJob],
) -> None:
    taken = Counter(job.lane for job in jobs)
    next_at = {}
    for lane, count in taken.items():
        limits, before = locked[lane]
        if limits.rate is not None:
            next_at[lane] = next_due(limits.rate, before, states[lane].now, count)
    if next_at:
        await lane_limits.advance(connection, next_at)

"""Limits of lanes over all workers together, and the state of limited lanes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from delivery.models import RateLimit
from delivery.policy.lane_limits import FirstWaiting, LaneLimits
from delivery.store.statements import statement

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from uuid import UUID

    from delivery.store.driver.connection import Queryable

__all__ = ["LaneState", "advance", "find_probes", "lock", "look"]

_ROUNDING: Final = 2e-6
"""Seconds by which a float can differ from the microseconds that are stored."""


@dataclass(frozen=True, slots=True)
class LaneState:
    """State of a limited lane; times in seconds."""

    limited: bool
    """True if the lane still has a limit."""
    in_flight: int
    first: FirstWaiting | None
    now: float


async def lock(executor: Queryable, lanes: Iterable[UUID]) -> dict[UUID, tuple[LaneLimits, float]]:
    """Lock the limits of lanes in the caller's transaction; return each with its `next_at`.

    Lanes without a limit, and lanes that another claim has locked, are left out.
    """
    rows = await executor.fetch(statement("lock_lane_limits"), list(lanes))
    return {
        row["lane"]: (
            LaneLimits(
                row["concurrency"],
                None
                if row["rate_limit"] is None
                else RateLimit(row["rate_limit"], row["rate_period"]),
                row["ordered"],
                row["paused_until"],
                row["probing"],
            ),
            row["next_at"],
        )
        for row in rows
    }


async def look(executor: Queryable, lanes: Iterable[UUID]) -> dict[UUID, LaneState]:
    """Return the state of lanes whose limits are locked."""
    rows = await executor.fetch(statement("read_lane_states"), list(lanes))
    return {
        row["lane"]: LaneState(
            row["limited"],
            row["in_flight"],
            None if row["priority"] is None else FirstWaiting(row["priority"], row["due_in"]),
            row["now"],
        )
        for row in rows
    }


async def find_probes(executor: Queryable, lanes: Iterable[UUID]) -> dict[UUID, tuple[int, float]]:
    """Return the priority and the earliest due time at which to claim a job that was tried before.

    Lanes without such a job are left out.
    """
    rows = await executor.fetch(statement("find_probes"), list(lanes))
    return {row["lane"]: (row["priority"], row["run_at"] - _ROUNDING) for row in rows}


async def advance(executor: Queryable, next_at: Mapping[UUID, float]) -> None:
    """Store the time of the next call of rate-limited lanes."""
    await executor.execute(statement("advance_lane_limits"), list(next_at), list(next_at.values()))

"""Which lanes have due work, and how much each may be given: the dispatcher's book, without I/O.

A lane is a reaction (or, for direct jobs, a tenant and origin). The book never counts what waits;
it knows only which lanes were seen with due jobs, by a sweep, a wake-up or a timer, until a claim
takes fewer than it asked for. A lane at its cap is set aside until one of its calls ends, so
skipping it costs nothing, however much waits in it.
"""

from __future__ import annotations

import heapq
from collections import OrderedDict
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID

    from delivery.store.queue import ClaimedJob, LaneKey

__all__ = ["LaneBook", "share"]

_CAPS_KEPT: Final = 100_000


def share(capacity: int, rooms: Sequence[int]) -> list[int]:
    """Divide `capacity` evenly over lanes that can take `rooms`.

    What one lane cannot use goes to the rest.

    Where there are more lanes than capacity, the first ones get one each.
    """
    quotas = [0] * len(rooms)
    open_lanes = [index for index, room in enumerate(rooms) if room > 0]
    while capacity > 0 and open_lanes:
        each = max(1, capacity // len(open_lanes))
        still_open = []
        for index in open_lanes:
            given = min(each, rooms[index] - quotas[index], capacity)
            quotas[index] += given
            capacity -= given
            if quotas[index] < rooms[index]:
                still_open.append(index)
        open_lanes = still_open
    return quotas


class LaneBook:
    """What one dispatcher knows of the lanes. Times are of the monotonic clock."""

    def __init__(self, default_cap: int, lanes_per_claim: int = 64) -> None:
        self._default_cap = default_cap
        self._lanes_per_claim = lanes_per_claim
        self._caps: dict[UUID, int] = {}
        self._in_flight: dict[UUID, int] = {}
        self._due: OrderedDict[UUID, dict[int, int]] = OrderedDict()
        """Lanes with room and due work, next in turn first: priority to the mark that last set
        it."""
        self._full: dict[UUID, dict[int, int]] = {}
        """The same of lanes at their cap."""
        self._marks = 0
        self._timers: list[tuple[float, LaneKey]] = []
        self._timer_of: dict[LaneKey, float] = {}

    def mark_due(self, key: LaneKey) -> None:
        """Note that a lane has due work."""
        lane, priority = key
        self._marks += 1
        priorities = self._full.get(lane)
        if priorities is None:
            priorities = self._due.setdefault(lane, {})
        priorities[priority] = self._marks

    def mark_due_at(self, key: LaneKey, when: float) -> None:
        """Note that a lane will have due work; of several times the earliest counts."""
        known = self._timer_of.get(key)
        if known is None or when < known:
            self._timer_of[key] = when
            heapq.heappush(self._timers, (when, key))

    def fire_timers(self, now: float) -> None:
        """Mark the lanes whose time has come."""
        while self._timers and self._timers[0][0] <= now:
            when, key = heapq.heappop(self._timers)
            if self._timer_of.get(key) == when:
                del self._timer_of[key]
                self.mark_due(key)

    def next_timer(self) -> float | None:
        """When the next lane becomes due, as far as is known."""
        while self._timers and self._timer_of.get(self._timers[0][1]) != self._timers[0][0]:
            heapq.heappop(self._timers)
        return self._timers[0][0] if self._timers else None

    def set_cap(self, lane: UUID, cap: int | None) -> None:
        """Take over a reaction's own limit of calls in flight; None: the default."""
        limit = self._default_cap if cap is None else cap
        if self._caps.get(lane) == limit:
            return
        if len(self._caps) >= _CAPS_KEPT:
            self._caps.clear()
        self._caps[lane] = limit
        waiting = self._full.pop(lane, None)
        if waiting is not None:
            self._due[lane] = waiting

    def has_due(self) -> bool:
        """Whether any lane that has room is known to have due work."""
        return bool(self._due)

    def quotas(self, capacity: int) -> tuple[list[tuple[LaneKey, int]], int]:
        """What to ask of which lane, and the mark to give back to `settle_claim`.

        Of each lane only the most urgent priority is asked for; lanes take turns.
        """
        keys: list[LaneKey] = []
        rooms: list[int] = []
        for lane in list(self._due)[: min(self._lanes_per_claim, max(capacity, 0))]:
            room = self._room(lane)
            if room <= 0:
                self._full[lane] = self._due.pop(lane)
                continue
            self._due.move_to_end(lane)
            keys.append((lane, min(self._due[lane])))
            rooms.append(room)
        shares = share(capacity, rooms)
        return [(key, quota) for key, quota in zip(keys, shares, strict=True) if quota], self._marks

    def settle_claim(
        self, quotas: Sequence[tuple[LaneKey, int]], mark: int, jobs: Sequence[ClaimedJob]
    ) -> None:
        """What to ask of which lane, and the mark to give back to `settle_claim`.

        A lane marked again since `quotas` was called is kept: the claim may not have seen that
        work.
        """
        taken: dict[LaneKey, int] = {}
        for job in jobs:
            key = (job.lane, job.priority)
            taken[key] = taken.get(key, 0) + 1
            self._in_flight[job.lane] = self._in_flight.get(job.lane, 0) + 1
        for key, quota in quotas:
            if taken.get(key, 0) >= quota:
                continue
            lane, priority = key
            priorities = self._due.get(lane)
            if priorities is not None and priorities.get(priority, mark + 1) <= mark:
                del priorities[priority]
                if not priorities:
                    del self._due[lane]

    def finished(self, lane: UUID) -> None:
        """Note that one call of a lane ended."""
        left = self._in_flight.get(lane, 0) - 1
        if left > 0:
            self._in_flight[lane] = left
        else:
            self._in_flight.pop(lane, None)
        waiting = self._full.pop(lane, None)
        if waiting is not None:
            self._due[lane] = waiting

    def _room(self, lane: UUID) -> int:
        # A reaction's limit is known once one of its jobs was claimed; until then one is asked for.
        return self._caps.get(lane, 1) - self._in_flight.get(lane, 0)

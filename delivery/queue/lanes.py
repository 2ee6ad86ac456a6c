"""Book of the lanes with due work, and the number of jobs to claim from each; without I/O.

A lane is a reaction (or, for direct jobs, a tenant and origin). The book does not count waiting
jobs. It knows the lanes that a sweep, a wake-up or a timer found due, until a claim returns fewer
jobs than it asked for. Lanes take turns. A lane that is woken after it was empty goes before lanes
with a backlog, as in fair queuing with sparse flows (RFC 8290). A lane that must wait is set aside,
so that skipping it costs nothing even with a long backlog. A lane without responses is
in doubt: the book asks for a job of it that failed before, if one is due, because that shows more
about the endpoint than another new job.
"""

from __future__ import annotations

import heapq
import time
from collections import ChainMap, OrderedDict
from itertools import chain, count, islice
from math import inf
from typing import TYPE_CHECKING, Final, NamedTuple

from delivery.queue.windows import CallEnd, LaneWindows

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterable, Mapping, Sequence
    from uuid import UUID

    from delivery.store.queue import ClaimedJob, LaneKey

__all__ = ["Ask", "LaneBook", "Retry", "share"]

_FIRST_ASK: Final = 2
"""Jobs to ask of an unknown lane: one, and a second to learn whether there are more."""

_QUANTUM: Final = 20
"""Jobs to ask of a lane in one turn while other lanes wait."""

_GATHERING: Final = 0.01
"""Seconds that a lane with little room waits for more room, to avoid claims of single jobs."""

_BLOCKED_FOR: Final = 0.25
"""Seconds after which a lane is tried again that calls of other workers hold at its limit."""

_SLACK: Final = 0.25
"""Seconds that a job may become visible after its time and still be found by the next claim. Jobs
of longer transactions are found by a sweep."""

_KEPT: Final = 100_000

_RETRIES_KEPT: Final = 16
"""Number of retries that are remembered for a lane in doubt."""

_ROUNDING: Final = 2e-6
"""Seconds by which a time in seconds may differ from the microseconds in the database."""


class Retry(NamedTuple):
    """Failed job that is due again."""

    attempt: int
    """Number of attempts so far."""
    due: float
    """Due time of the monotonic clock."""
    run_at: float
    """Due time in seconds since the epoch."""


class Ask(NamedTuple):
    """Request for a claim, and the facts needed to interpret its result."""

    plain: list[tuple[LaneKey, int]]
    """Lanes without limits in the order of their turns, with the maximum number of jobs of each."""
    limited: list[tuple[LaneKey, int]]
    """The same for lanes with limits. Together they ask for no more than the capacity."""
    capacity: int
    """Maximum number of jobs of all plain lanes together. The sum of their numbers is larger, since
    most lanes have fewer jobs than asked for."""
    mark: int
    since: Mapping[LaneKey, float]
    """Start times of the scans; see `LaneBook.since`."""
    retries: dict[LaneKey, Retry]
    """Plain lanes in doubt, and the job that failed before to ask for."""


def share(capacity: int, rooms: Sequence[int]) -> list[int]:
    """Divide `capacity` evenly over lanes that can take `rooms`.

    Capacity that one lane cannot use goes to the others. With more lanes than capacity, the first
    lanes get one each.
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
    """State of the lanes in one consumer. Times are of the monotonic clock."""

    def __init__(self, default_cap: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._windows = LaneWindows(default_cap, clock)
        self.set_cap = self._windows.set_cap
        """Set the limit of a lane's calls in flight in this process; None for the default."""
        self._fresh: OrderedDict[UUID, dict[int, int]] = OrderedDict()
        """Lanes woken recently, the next one first. For each priority the mark that last set it."""
        self._due: OrderedDict[UUID, dict[int, int]] = OrderedDict()
        """The same for lanes that had a turn since."""
        self._aside: dict[UUID, dict[int, int]] = {}
        """The same for lanes that must wait."""
        self._gathering: set[UUID] = set()
        self.limited: set[UUID] = set()
        """Lanes known to have a limit over all workers."""
        self._asks: dict[UUID, int] = {}
        """Jobs to ask of a lane in its next turn, if its last claim was fulfilled."""
        self._marks = 0
        self._timers_set = count()
        self._timers: list[tuple[float, int, LaneKey | UUID]] = []
        """Times to mark a lane as due or, without a priority, to return it from `_aside`."""
        self._timer_of: dict[LaneKey | UUID, float] = {}
        self.since: dict[LaneKey, float] = {}
        """Times in seconds since the epoch before which no job waits; see `_SLACK`."""
        self._retries: dict[LaneKey, list[Retry]] = {}
        """Retries of lanes in doubt."""

    def mark_due(self, key: LaneKey, *, fresh: bool = False) -> None:
        """Note that a lane has due work; `fresh` if a wake-up said so."""
        lane, priority = key
        self._marks += 1
        for lanes in (self._due, self._aside, self._fresh):
            if lane in lanes:
                lanes[lane][priority] = self._marks
                return
        (self._fresh if fresh else self._due)[lane] = {priority: self._marks}

    def mark_due_at(self, key: LaneKey, when: float) -> None:
        """Note that a lane will have due work; the earliest of several times counts."""
        self._set_timer(key, when)

    def failed(self, key: LaneKey, retry: Retry) -> None:
        """Note that a job of a lane failed; only lanes in doubt need to know."""
        if self._windows.is_in_doubt(key[0]):
            if len(self._retries) >= _KEPT:
                self._retries.clear()
            retries = self._retries.setdefault(key, [])
            if len(retries) < _RETRIES_KEPT:
                retries.append(retry)

    def found(self, key: LaneKey, run_at: float) -> None:
        """Note the first job of a lane, found by a sweep, so that claims do not skip it."""
        if run_at < self.since.get(key, -inf):
            self.since[key] = run_at

    def fire_timers(self, now: float) -> None:
        """Mark the lanes whose time has come."""
        while self._timers and self._timers[0][0] <= now:
            when, _, target = heapq.heappop(self._timers)
            if self._timer_of.get(target) == when:
                del self._timer_of[target]
                if isinstance(target, tuple):
                    self.mark_due(target)
                else:
                    self._take_back(target)

    def next_timer(self) -> float | None:
        """Return the time at which the next lane becomes due. None if none is known."""
        while self._timers and self._timer_of.get(self._timers[0][2]) != self._timers[0][0]:
            heapq.heappop(self._timers)
        return self._timers[0][0] if self._timers else None

    def rest(self, lane: UUID, until: float) -> None:
        """Claim nothing from a lane before that time."""
        self._windows.rest(lane, until)

    def has_due(self) -> bool:
        """Return whether a lane with room is known to have due work."""
        return bool(self._due or self._fresh)

    @property
    def due_lanes(self) -> int:
        """Number of lanes known to have due work and room."""
        return len(self._due) + len(self._fresh)

    def quotas(self, capacity: int, now: float) -> Ask:
        """Return the request of the next claim, with the most urgent priority of each lane."""
        keys, rooms, asks, rest = self._turns(capacity, now)
        if rest > 0:
            more = share(rest, [room - ask for room, ask in zip(rooms, asks, strict=True)])
            asks = [min(ask + extra, capacity) for ask, extra in zip(asks, more, strict=True)]
        plain: list[tuple[LaneKey, int]] = []
        limited: list[tuple[LaneKey, int]] = []
        retries: dict[LaneKey, Retry] = {}
        left = capacity
        for key, ask in zip(keys, asks, strict=True):
            if key[0] not in self.limited:
                if self._retries and (retry := self._due_retry(key, now)) is not None:
                    retries[key] = retry
                plain.append((key, 1 if key in retries else ask))
            elif left > 0:
                limited.append((key, min(ask, left)))
                left -= min(ask, left)
        since: Mapping[LaneKey, float] = self.since
        if retries:
            hints = {key: retry.run_at - _ROUNDING for key, retry in retries.items()}
            since = ChainMap(hints, self.since)
        return Ask(plain, limited, left, self._marks, since, retries)

    def _turns(self, capacity: int, now: float) -> tuple[list[LaneKey], list[int], list[int], int]:
        """Return the next lanes, their rooms, the least to ask of each, and the capacity left."""
        keys: list[LaneKey] = []
        rooms: list[int] = []
        asks: list[int] = []
        # Fresh lanes go first, but always leave a part to lanes with a backlog.
        fresh = list(islice(self._fresh, max(1, capacity * 3 // 4) if self._due else capacity))
        for lane in chain(fresh, list(islice(self._due, capacity))):
            if capacity <= 0:
                break
            priorities = (self._fresh if lane in self._fresh else self._due).pop(lane)
            room = self._room(lane, now)
            if room <= 0:
                self._aside[lane] = priorities
                continue
            self._due[lane] = priorities
            ask = self._asks.get(lane)
            # An unknown lane is likely to have a single job.
            capacity -= 1 if ask is None else min(ask, room)
            keys.append((lane, min(priorities)))
            rooms.append(room)
            asks.append(min(ask or _FIRST_ASK, room))
        return keys, rooms, asks, capacity

    def settle_claim(self, ask: Ask, jobs: Sequence[ClaimedJob]) -> None:
        """Note the result of a claim from plain lanes.

        A lane remains due if it was marked again since the call of `quotas`: the claim may not have
        seen that work. So does a lane that the claim did not reach, since others filled it.
        """
        taken = self._took(jobs, ask.retries)
        left = len(jobs)
        full = left >= ask.capacity
        not_reached = []
        for key, quota in ask.plain:
            lane, count = key[0], taken.get(key, 0)
            left -= count
            if key in ask.retries:
                # Found or not: earlier jobs of the lane were not scanned.
                self._forget_retry(key, ask.retries[key])
            elif count >= quota:
                self._asks[lane] = min(self._asks.get(lane, _FIRST_ASK) * 4, _QUANTUM)
            elif left or not full:
                self._forget(key, ask.mark)
            elif not count:
                not_reached.append(lane)
        for lane in reversed(not_reached):
            if lane in self._due:
                self._due.move_to_end(lane, last=False)

    def settle_limited(
        self,
        ask: Ask,
        jobs: Sequence[ClaimedJob],
        retry_in: Mapping[UUID, float | None],
        now: float,
    ) -> None:
        """Note the result of a claim from limited lanes, and the waits of lanes at a limit."""
        taken = self._took(jobs)
        for key, quota in ask.limited:
            lane = key[0]
            if lane in retry_in:
                seconds = retry_in[lane]
                self._set_aside(lane, now + (_BLOCKED_FOR if seconds is None else seconds))
            elif taken.get(key, 0) < quota:
                self._forget(key, ask.mark)

    def mark_limited(self, lanes: Iterable[UUID]) -> None:
        """Note that lanes have a limit; they remain due."""
        self.limited.update(lanes)

    def mark_unlimited(self, lanes: Iterable[UUID]) -> None:
        """Note that lanes no longer have a limit."""
        self.limited.difference_update(lanes)

    def freed(self, lane: UUID) -> None:
        """Note a written result of a limited lane: its limit may grant more."""
        self._take_back(lane)

    def finished(self, lane: UUID, end: CallEnd) -> bool:
        """Note that a job of a lane left this process; see `LaneWindows.ended`.

        Returns:
            True if the lane is due because of that, or will be.
        """
        windows = self._windows
        windows.ended(lane, end)
        if lane not in self._aside or lane in self.limited:
            return False
        resting_until = windows.resting_until(lane)
        if resting_until > self._clock():
            self._set_timer(lane, resting_until)
        elif windows.room(lane) >= max(1, windows.size(lane) // 4):
            self._take_back(lane)
        else:
            return False
        return True

    def _due_retry(self, key: LaneKey, now: float) -> Retry | None:
        """Return the due job of a lane in doubt that has most attempts; None if there is none."""
        retries = self._retries.get(key)
        if retries is None:
            return None
        if not self._windows.is_in_doubt(key[0]):
            del self._retries[key]
            return None
        due = (retry for retry in retries if retry.due <= now)
        return max(due, key=lambda retry: (retry.attempt, -retry.due), default=None)

    def _forget_retry(self, key: LaneKey, retry: Retry) -> None:
        retries = self._retries.get(key, [])
        if retry in retries:
            retries.remove(retry)
        if not retries:
            self._retries.pop(key, None)

    def _took(
        self, jobs: Sequence[ClaimedJob], passing_over: Container[LaneKey] = ()
    ) -> dict[LaneKey, int]:
        taken: dict[LaneKey, int] = {}
        began, since = self._windows.began, self.since
        if len(since) > _KEPT:
            since.clear()
        for job in jobs:
            key = (job.lane, job.priority)
            taken[key] = taken.get(key, 0) + 1
            # Jobs are in the order of time, so the last one counts.
            if key not in passing_over:
                since[key] = job.run_at - _SLACK
            began(key[0])
        return taken

    def _forget(self, key: LaneKey, mark: int) -> None:
        lane, priority = key
        for lanes in (self._due, self._aside):
            priorities = lanes.get(lane)
            if priorities is not None and priorities.get(priority, mark + 1) <= mark:
                del priorities[priority]
                if not priorities:
                    del lanes[lane]
                    self._asks.pop(lane, None)

    def _room(self, lane: UUID, now: float) -> int:
        """Return the room of a lane; without room, set a timer if time alone helps."""
        resting_until = self._windows.resting_until(lane)
        if resting_until > now:
            self._set_timer(lane, resting_until)
            return 0
        room = self._windows.room(lane)
        if 0 < room < self._windows.size(lane) // 4 and lane not in self._gathering:
            self._gathering.add(lane)
            self._set_timer(lane, now + _GATHERING)
            return 0
        self._gathering.discard(lane)
        return room

    def _set_aside(self, lane: UUID, until: float) -> None:
        for lanes in (self._fresh, self._due):
            if lane in lanes:
                self._aside[lane] = lanes.pop(lane)
        self._set_timer(lane, until)

    def _take_back(self, lane: UUID) -> None:
        priorities = self._aside.pop(lane, None)
        if priorities is not None:
            self._due[lane] = priorities

    def _set_timer(self, target: LaneKey | UUID, when: float) -> None:
        known = self._timer_of.get(target)
        if known is None or when < known:
            self._timer_of[target] = when
            heapq.heappush(self._timers, (when, next(self._timers_set), target))

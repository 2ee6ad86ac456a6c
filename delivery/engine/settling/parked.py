"""Results that the database refused, parked by the cause of the refusal."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from itertools import chain
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from delivery.store.driver.failures import Cause
    from delivery.store.settlements import Settlement

__all__ = ["GroupKey", "Parked"]

_FIRST_DELAY: Final = 0.05
_MAX_DELAY: Final = 5.0


class GroupKey(NamedTuple):
    """Properties that the results of a group share."""

    cause: Cause
    day: int | None = None
    """Day of their log ids, since the epoch, if that is the cause."""
    step: int = 0
    """Changes made to their values; see `Settler`."""


@dataclass(slots=True)
class _Group:
    refused_at: float
    due: float
    delay: float = _FIRST_DELAY
    results: deque[Settlement] = field(default_factory=deque)


class Parked:
    """Groups of results with the times of their next tries, in monotonic seconds.

    A group exists from its first refusal until it is pruned, also while all of its results are
    being tried. So a new cause is recognised.
    """

    def __init__(self) -> None:
        self._groups: dict[GroupKey, _Group] = {}

    def __len__(self) -> int:
        return sum(len(group.results) for group in self._groups.values())

    def __iter__(self) -> Iterator[Settlement]:
        return chain.from_iterable(group.results for group in self._groups.values())

    def park(self, key: GroupKey, results: Iterable[Settlement], now: float) -> bool:
        """Add refused results; return whether this cause is new, regardless of changed values.

        Each refusal of a group doubles the pause before its next try.
        """
        group = self._groups.get(key)
        is_new = not self._is_known(key)
        if group is None:
            group = self._groups[key] = _Group(now, now + _FIRST_DELAY)
        elif group.due <= now:
            group.delay = min(group.delay * 2, _MAX_DELAY)
            group.due = now + group.delay
        group.refused_at = now
        group.results.extend(results)
        return is_new

    def add(self, key: GroupKey, result: Settlement) -> None:
        """Add a result that shares the cause of a group, without having been tried."""
        self._groups[key].results.append(result)

    def take(self, key: GroupKey, most: int) -> list[Settlement]:
        """Take the oldest results of a group, to try them again."""
        results = self._groups[key].results
        return [results.popleft() for _ in range(min(most, len(results)))]

    def eased(self, key: GroupKey, now: float) -> None:
        """Note that results of a group were written, so the others are due immediately."""
        group = self._groups[key]
        group.due, group.delay = now, _FIRST_DELAY

    def prune(self) -> list[GroupKey]:
        """Remove groups without results; return those whose cause is gone."""
        empty = [key for key, group in self._groups.items() if not group.results]
        for key in empty:
            del self._groups[key]
        return [key for key in empty if not self._is_known(key)]

    def due(self, now: float) -> GroupKey | None:
        """Return the group that has been due for longest; None if none is due."""
        key = min(self._filled(), key=lambda each: self._groups[each].due, default=None)
        return key if key is not None and self._groups[key].due <= now else None

    def next_due(self) -> float | None:
        """Return the time at which the next group is due."""
        return min((self._groups[key].due for key in self._filled()), default=None)

    def due_at(self, key: GroupKey) -> float:
        """Return the time at which a group is due."""
        return self._groups[key].due

    def refused_at(self, key: GroupKey) -> float:
        """Return the time of the last refusal of a group."""
        return self._groups[key].refused_at

    def days(self) -> dict[int, GroupKey]:
        """Return the days without a partition, and the groups that wait for one."""
        return {key.day: key for key in self._groups if key.day is not None}

    def hurry(self, now: float) -> None:
        """Make all groups due now, and again after short pauses."""
        for group in self._groups.values():
            group.due, group.delay = now, _FIRST_DELAY

    def _is_known(self, key: GroupKey) -> bool:
        """Return whether there is a group for this cause, regardless of changed values."""
        return any((known.cause, known.day) == (key.cause, key.day) for known in self._groups)

    def _filled(self) -> Iterator[GroupKey]:
        return (key for key, group in self._groups.items() if group.results)

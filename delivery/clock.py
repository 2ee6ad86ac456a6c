"""The database's time, and the ids that are made from it.

Workers on machines with different clocks must agree on when a retry is due and on the partition of
a row, so every time and every id comes from `Clock.now`. Between two readings of the database's
clock, the time is the last reading plus the time elapsed on a clock that nobody can set. A step of
the machine's own clock therefore changes nothing.
"""

from __future__ import annotations

import logging
import math
import random
import time
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Final
from uuid import UUID

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Clock", "IdFactory", "job_id_for", "jobs_of_trigger"]

logger = logging.getLogger(__name__)

_RANDOM_BITS: Final = 62
_RANDOM_MASK: Final = (1 << _RANDOM_BITS) - 1
_VERSION_7: Final = 0x7 << 76
_VARIANT: Final = 0b10 << 62

_DRIFT: Final = 0.000_5
"""Seconds by which a clock may go wrong in a second: NTP slews by no more than this."""

_STEP: Final = 1.0
"""Seconds of disagreement from which a clock counts as having been set."""

_TICKS: Final = 4_096_000
"""Ids per second: milliseconds, divided by 4,096."""

_MOST_AHEAD: Final = _TICKS
"""An id is never further ahead of the clock than this many ticks."""


def _steady_clock() -> Callable[[], float]:
    """Return a clock that nobody sets, and that counts while the machine sleeps where one does.

    On Linux `time.monotonic` stops while the machine sleeps; CLOCK_BOOTTIME does not.
    """
    boot_time: int | None = getattr(time, "CLOCK_BOOTTIME", None)
    if boot_time is not None:
        try:
            time.clock_gettime(boot_time)
        except OSError:
            return time.monotonic
        return partial(time.clock_gettime, boot_time)
    return time.monotonic


class Clock:
    """The database's time, in seconds since the epoch.

    Until the first reading it is the machine's own time plus `offset`.

    Args:
        offset: Seconds by which the database's clock is ahead of the machine's.
        steady: A clock that is never set. Tests replace it.
        wall: The machine's clock, in seconds since the epoch. Tests replace it.
    """

    __slots__ = ("_error", "_looked_at", "_read_at", "_wall", "_wall_offset", "offset", "steady")

    def __init__(
        self,
        offset: float = 0.0,
        *,
        steady: Callable[[], float] | None = None,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self.steady = _steady_clock() if steady is None else steady
        self._wall = wall
        self._read_at = self._looked_at = self.steady()
        self._wall_offset = wall() - self._read_at
        self._error = math.inf
        """How far the last reading that was taken over may be wrong; infinite before the first."""
        self.offset = self._wall_offset + offset
        """The database's time minus that of the steady clock."""

    def now(self) -> float:
        """Return the database's time, as seconds since the epoch."""
        return self.steady() + self.offset

    def now_datetime(self) -> datetime:
        """Return the database's time, as an aware datetime."""
        return datetime.fromtimestamp(self.now(), UTC)

    def ahead_of_machine(self) -> float:
        """Return how many seconds the database's clock is ahead of the machine's."""
        return self.now() - self._wall()

    def synchronise(self, database_epoch: float, sent_at: float, received_at: float) -> None:
        """Take over a reading of the database's clock, unless the one before is more certain.

        The reading counts as being from the middle of the round trip, so it is wrong by at most
        half of it. The reading before becomes less certain with time. If the two cannot both be
        right, a clock was set or another server answers, and the new one counts.

        Args:
            database_epoch: The database's time.
            sent_at: When the question was sent, by `steady`.
            received_at: When the response arrived, by `steady`.
        """
        error = (received_at - sent_at) / 2
        offset = database_epoch - (sent_at + received_at) / 2
        expected_error = self._error + (received_at - self._read_at) * _DRIFT
        change = offset - self.offset
        agrees = abs(change) <= error + expected_error
        self._looked_at = received_at
        self._wall_offset = self._wall() - self.steady()
        if agrees and error > expected_error:
            return
        if not agrees and abs(change) > _STEP:
            logger.warning(
                "the database's clock is %.1f s %s where it was expected to be: it was set, or"
                " another server answers; times and ids follow it",
                abs(change),
                "ahead of" if change > 0 else "behind",
            )
        self.offset = offset
        self._error = error
        self._read_at = received_at

    def is_stale(self, after: float) -> bool:
        """Return whether the database's clock should be read again.

        That is so when the last reading is `after` seconds old, or when the machine's clock was set
        or the machine slept since then: the steady clock may not have counted the sleep.
        """
        steady = self.steady()
        return (
            steady - self._looked_at >= after
            or abs(self._wall() - steady - self._wall_offset) >= _STEP
        )


def _uuid(value: bytes) -> UUID:
    return UUID(bytes=value)


class IdFactory:
    """Makes UUIDv7s (RFC 9562, 5.7) that grow strictly within this factory.

    The twelve bits after the milliseconds hold their fraction (RFC 9562, 6.2, method 3), so ids of
    one process sort in the order in which they were made, also within a millisecond.

    An id is never more than a second ahead of the clock: when the clock goes back by more than
    that, so do the ids. Otherwise one wrong reading would date all later ids wrongly.

    Args:
        clock: Dates the ids.
        uuid: Makes a UUID of its 16 bytes. The driver's own UUIDs are made and sent to the database
            in a quarter of the time, and equal those of the standard library.
    """

    __slots__ = ("_clock", "_last", "_uuid")

    def __init__(self, clock: Clock, uuid: Callable[[bytes], UUID] = _uuid) -> None:
        self._clock = clock
        self._last = 0
        self._uuid = uuid

    def new(self, now: float | None = None) -> UUID:
        """Return a new id, greater than all before unless the clock went back by a second.

        Args:
            now: The clock's time, where the caller has just read it.
        """
        instant = int((self._clock.now() if now is None else now) * _TICKS)
        last = self._last
        if instant <= last < instant + _MOST_AHEAD:
            instant = last + 1
        self._last = instant
        value = (
            (instant >> 12) << 80
            | _VERSION_7
            | (instant & 0xFFF) << 64
            | _VARIANT
            | random.getrandbits(_RANDOM_BITS)
        )
        return self._uuid(value.to_bytes(16, "big"))


def job_id_for(trigger_id: UUID, reaction_id: UUID) -> UUID:
    """The id of the one job that this trigger has for this reaction.

    The trigger's id with its 62 random bits XORed with the reaction's: still a UUIDv7 of the
    trigger's time, the same whenever it is made, so that the primary key of the jobs holds "one job
    per trigger and reaction" (a unique constraint over other columns cannot span partitions).
    """
    return UUID(int=trigger_id.int ^ (reaction_id.int & _RANDOM_MASK))


def jobs_of_trigger(trigger_id: UUID) -> tuple[UUID, UUID]:
    """The smallest and the greatest id a job of this trigger can have."""
    prefix = trigger_id.int & ~_RANDOM_MASK
    return UUID(int=prefix), UUID(int=prefix | _RANDOM_MASK)

"""Clock of the database, and the ids derived from it.

Workers on machines with different clocks must agree on the due time of a retry and on the partition
of a row. Every time and every id therefore comes from `Clock.now`. Between two readings of the
database's clock, the time is the last reading plus the time elapsed on a monotonic clock. A step of
the machine's clock therefore has no effect.
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

_MAX_DRIFT: Final = 0.000_5
"""Maximum drift of a clock in seconds per second: NTP slews by at most this rate."""

_STEP: Final = 1.0
"""Minimum difference in seconds that counts as a step of a clock."""

_TICKS: Final = 4_096_000
"""Ids per second: milliseconds, divided by 4,096."""

_MAX_AHEAD: Final = _TICKS
"""Maximum number of ticks by which an id can be ahead of the clock."""


def _steady_clock() -> Callable[[], float]:
    """Return a monotonic clock, which includes the time of suspension if possible.

    On Linux, `time.monotonic` stops while the machine is suspended; CLOCK_BOOTTIME does not.
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
    """Clock of the database, in seconds since the epoch.

    Before the first reading, the time is the machine's time plus `offset`.

    Args:
        offset: Seconds by which the database's clock is ahead of the machine's.
        steady: Monotonic clock. Tests replace it.
        wall: Clock of the machine, in seconds since the epoch. Tests replace it.
    """

    __slots__ = ("_checked_at", "_error", "_read_at", "_wall", "_wall_offset", "offset", "steady")

    def __init__(
        self,
        offset: float = 0.0,
        *,
        steady: Callable[[], float] | None = None,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self.steady = _steady_clock() if steady is None else steady
        self._wall = wall
        self._read_at = self._checked_at = self.steady()
        self._wall_offset = wall() - self._read_at
        self._error = math.inf
        """Maximum error of the last accepted reading. Infinite before the first."""
        self.offset = self._wall_offset + offset
        """Time of the database minus the time of the steady clock."""

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
        """Accept a reading of the database's clock, unless the previous one is more accurate.

        The reading is dated to the middle of the round trip, so its error is at most half of the
        round trip. The error of the previous reading grows with time. If the two readings
        contradict each other, the clock was set or another server responded, and the new reading is
        accepted.

        Args:
            database_epoch: Time of the database.
            sent_at: Time of the query, by `steady`.
            received_at: Time of the response, by `steady`.
        """
        error = (received_at - sent_at) / 2
        offset = database_epoch - (sent_at + received_at) / 2
        expected_error = self._error + (received_at - self._read_at) * _MAX_DRIFT
        change = offset - self.offset
        agrees = abs(change) <= error + expected_error
        self._checked_at = received_at
        self._wall_offset = self._wall() - self.steady()
        if agrees and error > expected_error:
            return
        if not agrees and abs(change) > _STEP:
            logger.warning(
                "the database's clock has jumped %s by %.1f s: it was set, or another server"
                " responds; times and ids follow it",
                "forward" if change > 0 else "back",
                abs(change),
            )
        self.offset = offset
        self._error = error
        self._read_at = received_at

    def is_stale(self, after: float) -> bool:
        """Return whether the database's clock should be read again.

        This is the case if the last reading is `after` seconds old, or if the machine's clock was
        set or the machine was suspended since: the steady clock may not include the suspension.
        """
        steady = self.steady()
        return (
            steady - self._checked_at >= after
            or abs(self._wall() - steady - self._wall_offset) >= _STEP
        )


def _uuid(value: bytes) -> UUID:
    return UUID(bytes=value)


class IdFactory:
    """Factory of strictly increasing UUIDv7s (RFC 9562, 5.7).

    The twelve bits after the milliseconds contain their fraction (RFC 9562, 6.2, method 3), so the
    ids of one process sort in the order of their creation, even within a millisecond.

    An id is at most one second ahead of the clock. If the clock goes back by more than that, the
    ids go back too. Otherwise one wrong reading would date all later ids wrongly.

    Args:
        clock: Clock of the ids.
        uuid: Function that creates a UUID from its 16 bytes. The UUIDs of the driver take a quarter
            of the time to create and send, and are equal to those of the standard library.
    """

    __slots__ = ("_clock", "_last", "_uuid")

    def __init__(self, clock: Clock, uuid: Callable[[bytes], UUID] = _uuid) -> None:
        self._clock = clock
        self._last = 0
        self._uuid = uuid

    def new(self, now: float | None = None) -> UUID:
        """Return a new id, greater than all earlier ids unless the clock went back by a second.

        Args:
            now: Time of the clock, if the caller has just read it.
        """
        instant = int((self._clock.now() if now is None else now) * _TICKS)
        last = self._last
        if instant <= last < instant + _MAX_AHEAD:
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
    """Compute the id of the job of a trigger for a reaction.

    The id is the trigger's id with its 62 random bits XORed with the reaction's. It is a UUIDv7 of
    the trigger's time and always the same, so the primary key of the jobs ensures one job per
    trigger and reaction. A unique constraint on other columns cannot span partitions.
    """
    return UUID(int=trigger_id.int ^ (reaction_id.int & _RANDOM_MASK))


def jobs_of_trigger(trigger_id: UUID) -> tuple[UUID, UUID]:
    """Return the smallest and the greatest possible id of a job of this trigger."""
    prefix = trigger_id.int & ~_RANDOM_MASK
    return UUID(int=prefix), UUID(int=prefix | _RANDOM_MASK)

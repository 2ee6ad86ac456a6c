"""The time the engine goes by: the database's, kept up between measurements by the local clock.

Workers on machines whose clocks differ must agree on when a retry is due and in which partition a
row belongs, so every time and id is made from `Clock.now`, and the engine measures the offset to
the database at connect and with each heartbeat.
"""

from __future__ import annotations

import random
import time
from datetime import UTC, datetime
from typing import Final
from uuid import UUID

__all__ = ["Clock", "IdFactory", "job_id_for", "jobs_of_trigger"]

_RANDOM_BITS: Final = 62
_RANDOM_MASK: Final = (1 << _RANDOM_BITS) - 1
_VERSION_7: Final = 0x7 << 76
_VARIANT: Final = 0b10 << 62


class Clock:
    """The database's time, in seconds since the epoch; tests move it by `offset`."""

    __slots__ = ("offset",)

    def __init__(self, offset: float = 0.0) -> None:
        self.offset = offset

    def now(self) -> float:
        """The database's time, as seconds since the epoch."""
        return time.time() + self.offset

    def now_datetime(self) -> datetime:
        """The database's time, as an aware datetime."""
        return datetime.fromtimestamp(self.now(), UTC)

    def synchronise(self, database_epoch: float, sent_at: float, received_at: float) -> None:
        """Take over the database's time, read between two local `time.time()` readings.

        The reading is held to be from the middle of the round trip, so it errs by at most half of
        it.
        """
        self.offset = database_epoch - (sent_at + received_at) / 2


class IdFactory:
    """Makes UUIDv7s (RFC 9562, 5.7) that grow strictly within this factory.

    The twelve bits after the milliseconds hold their fraction (RFC 9562, 6.2, method 3), so ids of
    one process sort in the order they were made, also within a millisecond.
    """

    __slots__ = ("_clock", "_last")

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._last = 0

    def new(self) -> UUID:
        """A new id, greater than all this factory made before."""
        instant = int(self._clock.now() * 4_096_000)
        if instant <= self._last:
            instant = self._last + 1
        self._last = instant
        return UUID(
            int=(instant >> 12) << 80
            | _VERSION_7
            | (instant & 0xFFF) << 64
            | _VARIANT
            | random.getrandbits(_RANDOM_BITS)
        )


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

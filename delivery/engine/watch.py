"""Watches the clock and the partitions in every engine, also in one that only produces."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final

from delivery.store import partitions, workers
from delivery.store.driver.failures import CONNECTION_ERRORS

if TYPE_CHECKING:
    from delivery.clock import Clock
    from delivery.store.driver.connection import Pool

__all__ = ["DatabaseWatch", "partitions_alarm"]

logger = logging.getLogger(__name__)

_LOOK_EVERY: Final = 1.0
"""Seconds between two looks at the machine's own clocks, which cost nothing."""
_READ_EVERY: Final = 15.0
"""Seconds for which a reading of the database's clock is good enough. Heartbeats read it too."""
_COUNT_EVERY: Final = 3600.0
"""Seconds between two counts of the partitions that are left."""
_FIRST_COUNT: Final = 5.0
"""Seconds until the first count: a worker that starts makes missing partitions before that."""


def partitions_alarm(days_left: int, days_ahead: int) -> str | None:
    """Return a warning about the partitions left; None if there are enough.

    Partitions are made `days_ahead` days in advance, every day one more. When fewer than half are
    left, nobody has made any for days.

    Args:
        days_left: Days after today that have partitions; -1 if today has none.
        days_ahead: The setting `partitions.days_ahead`.
    """
    if days_left * 2 >= days_ahead:
        return None
    if days_left < 0:
        until = "there are no partitions for today, so nothing can be written"
    elif days_left == 0:
        until = "there are partitions for today only; from midnight UTC on nothing can be written"
    else:
        days = "1 more day" if days_left == 1 else f"{days_left} more days"
        until = f"there are partitions for only {days}; after that nothing can be written"
    return (
        f"{until}; start a worker, or run `delivery migrate` as the owner of the schema; a worker"
        " that may not make them needs `delivery migrate --grant ROLE`"
    )


class DatabaseWatch:
    """Reads the database's clock before the last reading is too old, and counts partitions.

    It writes nothing, and retries failed reads.

    Args:
        pool: The database.
        clock: Takes the readings.
        days_ahead: The setting `partitions.days_ahead`.
    """

    def __init__(self, pool: Pool, clock: Clock, *, days_ahead: int) -> None:
        self._pool = pool
        self._clock = clock
        self._days_ahead = days_ahead
        self._count_at = clock.steady() + _FIRST_COUNT

    async def run(self) -> None:
        """Watch until cancelled."""
        while True:
            await asyncio.sleep(_LOOK_EVERY)
            try:
                if self._clock.is_stale(_READ_EVERY):
                    await workers.synchronise(self._pool, self._clock)
                if self._clock.steady() >= self._count_at:
                    self._count_at = self._clock.steady() + _COUNT_EVERY
                    await self.count()
            except CONNECTION_ERRORS as error:
                # Statements report the outage themselves; retry in a second.
                logger.debug("the database's clock could not be read: %s", error)

    async def count(self) -> None:
        """Log an error if the partitions will run out soon."""
        left = await partitions.days_left(self._pool)
        alarm = partitions_alarm(left, self._days_ahead)
        if alarm is not None:
            logger.error("%s", alarm)

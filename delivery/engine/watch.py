"""Watch over the database's clock and the partitions, in every engine."""

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

_CHECK_EVERY: Final = 1.0
"""Seconds between two checks of the machine's own clocks, which cost nothing."""
_READ_EVERY: Final = 15.0
"""Seconds for which a reading of the database's clock is valid. Heartbeats read it too."""
_COUNT_EVERY: Final = 3600.0
"""Seconds between two counts of the remaining partitions."""
_FIRST_COUNT: Final = 5.0
"""Seconds until the first count. A starting worker makes missing partitions before that."""


def partitions_alarm(days_left: int, days_ahead: int) -> str | None:
    """Return a warning about the remaining partitions; None if there are enough.

    Partitions are made `days_ahead` days in advance, one more every day. Fewer than half of them
    mean that none have been made for days.

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
    """Role of every engine that reads the database's clock regularly and counts partitions.

    It writes nothing, and retries failed reads.

    Args:
        pool: Database.
        clock: Clock that receives the readings.
        days_ahead: Setting `partitions.days_ahead`.
    """

    def __init__(self, pool: Pool, clock: Clock, *, days_ahead: int) -> None:
        self._pool = pool
        self._clock = clock
        self._days_ahead = days_ahead
        self._count_at = clock.steady() + _FIRST_COUNT

    async def run(self) -> None:
        """Watch until cancelled."""
        while True:
            await asyncio.sleep(_CHECK_EVERY)
            try:
                if self._clock.is_stale(_READ_EVERY):
                    await workers.synchronise(self._pool, self._clock)
                if self._clock.steady() >= self._count_at:
                    self._count_at = self._clock.steady() + _COUNT_EVERY
                    await self.count()
            except CONNECTION_ERRORS as error:
                # Statements report the outage themselves; retry in a second.
                logger.debug("cannot read the database's clock: %s", error)

    async def count(self) -> None:
        """Log an error if the partitions will run out soon."""
        left = await partitions.days_left(self._pool)
        alarm = partitions_alarm(left, self._days_ahead)
        if alarm is not None:
            logger.error("%s", alarm)

"""Maintenance of the database: partitions for the days ahead, and rows of old workers."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final

from delivery.observe.repeated_logs import RepeatedLogs
from delivery.store import partitions, workers
from delivery.store.driver.failures import CONNECTION_ERRORS

if TYPE_CHECKING:
    from delivery.store.driver.connection import Connection, Pool

__all__ = ["Maintenance", "maintain"]

logger = logging.getLogger(__name__)

_REPEATED_AFTER: Final = 3600.0
"""Seconds after which the same failure is logged again."""


async def maintain(database: Connection | Pool, days_ahead: int) -> int:
    """Do one round, and return the number of partitions that were made.

    Raises:
        DatabaseError: The database refuses a statement.
    """
    made = await partitions.ensure_partitions(database, days_ahead)
    await workers.forget_old(database)
    return made


class Maintenance:
    """Role of workers that does a round every `interval` seconds, and sooner after a failure.

    No single round matters, since partitions are made days before they are needed. A failure is
    logged and stops nothing.
    """

    def __init__(
        self, pool: Pool, *, days_ahead: int, interval: float = 3600.0, retry_after: float = 30.0
    ) -> None:
        self._pool = pool
        self._days_ahead = days_ahead
        self._interval = interval
        self._retry_after = retry_after
        self._logs = RepeatedLogs(logger, every=_REPEATED_AFTER)

    async def round(self) -> bool:
        """Do one round; log a failure and return False."""
        try:
            made = await maintain(self._pool, self._days_ahead)
        except CONNECTION_ERRORS as error:
            reason = str(error) or type(error).__name__
            if self._logs.is_due(reason):
                logger.warning("partitions for the days ahead could not be made: %s", reason)
            return False
        if made:
            logger.info("made %d partitions", made)
        self._logs.forget()
        return True

    async def run(self) -> None:
        """Do rounds until cancelled."""
        while True:
            succeeded = await self.round()
            await asyncio.sleep(self._interval if succeeded else self._retry_after)

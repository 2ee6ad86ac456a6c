"""Keeps house: makes the partitions of the days ahead, and forgets workers that are long gone."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from delivery.store import partitions, workers
from delivery.store.failures import CONNECTION_ERRORS

if TYPE_CHECKING:
    from delivery.store.connection import Pool

__all__ = ["Keeper"]

logger = logging.getLogger(__name__)


class Keeper:
    """Does its round every `interval` seconds, and sooner again after one that failed."""

    def __init__(
        self, pool: Pool, *, days_ahead: int, interval: float = 3600.0, retry_after: float = 30.0
    ) -> None:
        self._pool = pool
        self._days_ahead = days_ahead
        self._interval = interval
        self._retry_after = retry_after

    async def round(self) -> None:
        """Do what is due now.

        Raises:
            asyncpg.PostgresError, OSError: if the database cannot be reached.
        """
        await partitions.ensure_partitions(self._pool, self._days_ahead)
        await workers.forget_old(self._pool)

    async def run(self) -> None:
        """Keep house until cancelled."""
        while True:
            try:
                await self.round()
            except CONNECTION_ERRORS as error:
                logger.warning("partitions could not be looked after: %s", error)
                await asyncio.sleep(self._retry_after)
            else:
                await asyncio.sleep(self._interval)

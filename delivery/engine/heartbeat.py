"""Says that this process is alive, and knows when others may have given it up.

A worker whose heartbeat was not written for `dead_after` seconds may have been reaped: it must not
start a call it holds, since another worker may already be making it. `held` answers that without
I/O.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from delivery.store import workers
from delivery.store.failures import CONNECTION_ERRORS

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from delivery.clock import Clock
    from delivery.store.connection import Executor
    from delivery.store.workers import WorkerIdentity

__all__ = ["Heartbeat"]

logger = logging.getLogger(__name__)


class Heartbeat:
    """Renews this worker's row every `interval` seconds, then awaits `after_beat`."""

    def __init__(
        self,
        executor: Executor,
        identity: WorkerIdentity,
        clock: Clock,
        *,
        interval: float,
        dead_after: float,
        after_beat: Callable[[], Awaitable[None]],
    ) -> None:
        self._executor = executor
        self._identity = identity
        self._clock = clock
        self._interval = interval
        self._dead_after = dead_after
        self._after_beat = after_beat
        self._valid_until = 0.0

    def held(self) -> bool:
        """Whether what this worker has leased is surely still its own."""
        # Unlike `time.monotonic`, this clock also counts while the machine sleeps, as others do.
        return self._clock.steady() < self._valid_until

    async def beat(self) -> None:
        """Write the heartbeat once.

        Raises:
            asyncpg.PostgresError, OSError: if the database cannot be written to.
        """
        asked_at = self._clock.steady()
        await workers.beat(self._executor, self._identity, self._clock)
        # Leases are checked before the worker counts as alive again: they may be another's by now.
        await self._after_beat()
        # Others count from the moment the row was written, which is not before `asked_at`.
        self._valid_until = asked_at + self._dead_after * 0.8

    async def run(self) -> None:
        """Keep the heartbeat up until cancelled."""
        failed = False
        while True:
            try:
                await self.beat()
            except CONNECTION_ERRORS as error:
                logger.warning("the heartbeat could not be written: %s", error)
                failed = True
            else:
                if failed:
                    logger.info("the database answers again")
                failed = False
            await asyncio.sleep(self._interval)

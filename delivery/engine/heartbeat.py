"""Heartbeat of a worker, and the time for which the worker certainly holds its leases.

A worker whose heartbeat was not written for `dead_after` seconds may have been reaped. It must not
start a job that it holds, since another worker may already run it. `held` checks that without I/O.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final

from delivery.engine.events import LeasesConfirmed
from delivery.errors import StatementTimeout
from delivery.store import workers
from delivery.store.driver.failures import CONNECTION_ERRORS
from delivery.store.driver.urgency import urgent

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from delivery.clock import Clock
    from delivery.engine.events import EventBus
    from delivery.store.driver.connection import Pool
    from delivery.store.workers import WorkerIdentity

__all__ = ["Heartbeat"]

logger = logging.getLogger(__name__)

_SURE: Final = 0.8
"""Part of `dead_after` for which a worker relies on its last heartbeat."""


class Heartbeat:
    """Role that renews the row of this worker every `interval` seconds, then awaits `after_beat`.

    The event `LeasesConfirmed` follows when the worker certainly holds its leases again: jobs may
    wait for that.

    One heartbeat may take so long that a second one, on a new connection, still comes in time.
    """

    def __init__(
        self,
        pool: Pool,
        identity: WorkerIdentity,
        clock: Clock,
        *,
        interval: float,
        dead_after: float,
        after_beat: Callable[[], Awaitable[None]],
        events: EventBus,
    ) -> None:
        self._pool = pool
        self._identity = identity
        self._clock = clock
        self._interval = interval
        self._dead_after = dead_after
        self._after_beat = after_beat
        self._events = events
        self._first_limit = self._limit = max((dead_after * _SURE - interval) / 2, interval / 4)
        self._pause = min(interval, self._limit / 4)
        """Seconds before the next heartbeat after one that failed."""
        self._valid_until = 0.0

    def held(self) -> bool:
        """Return whether this worker certainly holds its leases."""
        # Unlike `time.monotonic`, this clock also counts while the machine sleeps.
        return self._clock.steady() < self._valid_until

    async def beat(self) -> None:
        """Write the heartbeat once.

        Raises:
            DatabaseError: The database cannot be written to, or does not respond in time.
        """
        asked_at = self._clock.steady()
        try:
            # Other statements may hold all connections, and wait longer than this one may.
            with urgent():
                async with asyncio.timeout(self._limit):
                    await workers.beat(self._pool, self._identity, self._clock)
                    # Leases are checked before the worker counts as alive again: other workers may
                    # have taken them over.
                    await self._after_beat()
        except TimeoutError as error:
            self._pool.distrust(self._limit)
            message = (
                f"the database did not respond to the heartbeat within {self._limit:.1f} s; check"
                " the network, the server's load and its locks"
            )
            # A slow server needs more time than this.
            self._limit = min(self._limit * 2, self._dead_after)
            raise StatementTimeout(message) from error
        self._limit = self._first_limit
        was_held = self.held()
        # Other workers count from the write of the row, which is not before `asked_at`.
        self._valid_until = asked_at + self._dead_after * _SURE
        if not was_held:
            self._events.emit(LeasesConfirmed())

    async def run(self) -> None:
        """Write heartbeats until cancelled."""
        failed = False
        while True:
            try:
                await self.beat()
            except CONNECTION_ERRORS as error:
                logger.warning("cannot write the heartbeat: %s", error)
                failed = True
                await asyncio.sleep(self._pause)
            else:
                if failed:
                    logger.info("the heartbeat is written again")
                failed = False
                await asyncio.sleep(self._interval)

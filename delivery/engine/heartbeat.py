"""Says that this process is alive, and knows when others may have given it up.

A worker whose heartbeat was not written for `dead_after` seconds may have been reaped: it must not
start a call it holds, since another worker may already be making it. `held` answers that without
I/O.
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
"""The part of `dead_after` for which a worker trusts in its last heartbeat."""


class Heartbeat:
    """Renews this worker's row every `interval` seconds, then awaits `after_beat`.

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
        """Whether what this worker has leased is surely still its own."""
        # Unlike `time.monotonic`, this clock also counts while the machine sleeps, as others do.
        return self._clock.steady() < self._valid_until

    async def beat(self) -> None:
        """Write the heartbeat once.

        Raises:
            DatabaseError: if the database cannot be written to, or does not respond in time.
        """
        asked_at = self._clock.steady()
        try:
            # Other statements may hold all connections, and wait longer than this one may.
            with urgent():
                async with asyncio.timeout(self._limit):
                    await workers.beat(self._pool, self._identity, self._clock)
                    # Leases are checked before the worker counts as alive again: they may be
                    # another's by now.
                    await self._after_beat()
        except TimeoutError as error:
            self._pool.distrust(self._limit)
            message = (
                f"the database did not respond to the heartbeat within {self._limit:.1f} s; check"
                " the network, the server's load and its locks"
            )
            # A server that is slow, and not silent, needs longer than this.
            self._limit = min(self._limit * 2, self._dead_after)
            raise StatementTimeout(message) from error
        self._limit = self._first_limit
        was_held = self.held()
        # Others count from the moment the row was written, which is not before `asked_at`.
        self._valid_until = asked_at + self._dead_after * _SURE
        if not was_held:
            self._events.emit(LeasesConfirmed())

    async def run(self) -> None:
        """Keep the heartbeat up until cancelled."""
        failed = False
        while True:
            try:
                await self.beat()
            except CONNECTION_ERRORS as error:
                logger.warning("the heartbeat could not be written: %s", error)
                failed = True
                await asyncio.sleep(self._pause)
            else:
                if failed:
                    logger.info("the heartbeat is written again")
                failed = False
                await asyncio.sleep(self._interval)

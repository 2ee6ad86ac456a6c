"""Looks for lanes with due work: the truth behind all wake-ups, which are hints only.

A sweep is a bounded walk through the queue's index, one step a lane, resumed where the last one
ended. Between sweeps there are pauses, growing while nothing is due, and long enough that sweeping
takes only a small part of the time, however many lanes or dead index entries there are.
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING, Final

from delivery.store import queue
from delivery.store.driver.failures import CONNECTION_ERRORS

if TYPE_CHECKING:
    from collections.abc import Callable

    from delivery.queue.lanes import LaneBook
    from delivery.settings import WorkerSettings
    from delivery.store.driver.connection import Pool

__all__ = ["Sweeper"]

logger = logging.getLogger(__name__)

_LANES: Final = 500
"""In one sweep at most."""

_SHARE: Final = 25
"""Sweeps take one part in so many of the time, unless `worker.poll_max` asks for more."""

_MAX_BACKOFF: Final = 5.0


class Sweeper:
    """Enters the lanes it finds in the book.

    Args:
        on_found: Called after each sweep that found due work.
    """

    def __init__(
        self, pool: Pool, book: LaneBook, settings: WorkerSettings, on_found: Callable[[], None]
    ) -> None:
        self._pool = pool
        self._book = book
        self._settings = settings
        self._on_found = on_found
        self._cursor = queue.FIRST_LANE
        self._pause = settings.poll_min
        self._swept_for = 0.0
        """How long the sweeps took since the one that began with the first lane."""
        self._asked = asyncio.Event()
        self._more_lanes = False

    def ask(self) -> None:
        """Sweep soon."""
        self._asked.set()

    def ask_for_more(self) -> None:
        """Go on with the sweep soon, if the last one ended before the last lane."""
        if self._more_lanes:
            self._asked.set()

    async def run(self) -> None:
        """Sweep until cancelled."""
        backoff = self._settings.poll_min
        while True:
            try:
                rest = await self._sweep()
                backoff = self._settings.poll_min
            except CONNECTION_ERRORS as error:
                logger.warning("lanes could not be looked for (%s); trying again", error)
                rest = backoff
                backoff = min(backoff * 2, _MAX_BACKOFF)
            try:
                async with asyncio.timeout(rest):
                    await self._asked.wait()
            except TimeoutError:
                pass
            self._asked.clear()

    async def _sweep(self) -> float:
        """Sweep once; the seconds to wait before the next time."""
        began = time.monotonic()
        lanes = await queue.find_lanes(self._pool, self._cursor, _LANES)
        now = time.monotonic()
        any_due = False
        for lane in lanes:
            self._book.found(lane.key, lane.run_at)
            if lane.due_in <= 0:
                any_due = True
                self._book.mark_due(lane.key)
            elif lane.due_in <= self._settings.poll_max * 2:
                self._book.mark_due_at(lane.key, now + lane.due_in)
        self._more_lanes = len(lanes) == _LANES
        self._cursor = lanes[-1].key if self._more_lanes else queue.FIRST_LANE
        if any_due or self._more_lanes:
            self._pause = self._settings.poll_min
        else:
            self._pause = min(self._pause * 2, self._settings.poll_max)
        if any_due:
            self._on_found()
        self._swept_for += now - began
        swept_for = self._swept_for
        if not self._more_lanes:
            self._swept_for = 0.0
        rest = max(self._pause, min(swept_for * _SHARE, self._settings.poll_max))
        # With very many lanes a whole round takes long, and must still leave most of the time.
        return max(rest, swept_for * 2)

"""Sweeper: finds the lanes with due work. Wake-ups are only hints; sweeps find everything.

A sweep is a bounded walk through the index of the queue, one step per lane. The next sweep resumes
where the last one ended. The pauses between sweeps grow while nothing is due. They are long enough
that sweeping takes a small part of the time with any number of lanes or dead index entries.
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
"""Maximum number of lanes of one sweep."""

_SHARE: Final = 25
"""Sweeps take one part in 25 of the time, unless `worker.poll_max` is shorter."""

_MAX_BACKOFF: Final = 5.0


class Sweeper:
    """Searcher of lanes with due work, which it marks in the book.

    Args:
        pool: Database.
        book: Book of lanes.
        settings: Settings of the worker.
        on_found: Function to call after each sweep that found due work.
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
        """Seconds that the sweeps took since the one that began with the first lane."""
        self._asked = asyncio.Event()
        self._more_lanes = False

    def ask(self) -> None:
        """Sweep soon."""
        self._asked.set()

    def ask_for_more(self) -> None:
        """Resume the sweep soon, if it ended before the last lane."""
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
                logger.warning("cannot search for lanes (%s); retrying in %.2f s", error, backoff)
                rest = backoff
                backoff = min(backoff * 2, _MAX_BACKOFF)
            try:
                async with asyncio.timeout(rest):
                    await self._asked.wait()
            except TimeoutError:
                pass
            self._asked.clear()

    async def _sweep(self) -> float:
        """Sweep once; return the seconds to wait before the next sweep."""
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
        # With very many lanes a whole round takes long. It must still use little of the time.
        return max(rest, swept_for * 2)

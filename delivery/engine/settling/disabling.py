"""Disables reactions after their endpoint is gone, apart from the writing of results."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING, Final

from delivery.store.driver.failures import is_passing, text_of

if TYPE_CHECKING:
    from uuid import UUID

    from delivery.engine.announcements import Announcements

__all__ = ["Disabling"]

logger = logging.getLogger(__name__)

_RESULTS_WAIT: Final = 1.0
"""Seconds for which results wait until a reaction is disabled."""
_FIRST_BACKOFF: Final = 0.05
_MAX_BACKOFF: Final = 5.0
_REFUSED_AGAIN: Final = 60.0
"""Seconds for which a reaction is set aside that the database refused to disable."""


class Disabling:
    """Keeps the reactions to disable until that is written.

    Results wait for it a moment, so that usually a reaction is disabled once the job that found it
    gone is settled. They are never refused or held up by it. A reaction that the database refuses
    to disable is set aside for a minute and logged once; it holds up no other. If its endpoint is
    still gone after that, the next call says so, and it is tried again.
    """

    def __init__(self, telling: Announcements) -> None:
        self._telling = telling
        self._reasons: dict[UUID, str] = {}
        self._refused: dict[UUID, float] = {}
        """Those that were set aside, and until when."""
        self._is_new = False
        self._work = asyncio.Event()
        self._idle = asyncio.Event()

    def add(self, reaction_id: UUID, reason: str) -> None:
        """Disable a reaction soon."""
        if self._refused and self._refused.get(reaction_id, 0.0) > time.monotonic():
            return
        self._reasons.setdefault(reaction_id, reason)
        self._is_new = True
        self._idle.clear()
        self._work.set()

    async def before_results(self) -> None:
        """Wait a moment, once, until the reactions that were just added are disabled."""
        if self._is_new:
            self._is_new = False
            try:
                async with asyncio.timeout(_RESULTS_WAIT):
                    await self._idle.wait()
            except TimeoutError:
                pass

    async def run(self) -> None:
        """Disable reactions until cancelled."""
        backoff = _FIRST_BACKOFF
        while True:
            await self._work.wait()
            try:
                await self._disable_all(dict(self._reasons))
            except Exception as error:  # noqa: BLE001 - each is kept and tried again
                logger.warning(
                    "%d reactions could not be disabled (%s); trying again in %.1f s",
                    len(self._reasons),
                    text_of(error),
                    backoff,
                )
                await asyncio.sleep(backoff)
                backoff = min(backoff * 2, _MAX_BACKOFF)
                continue
            backoff = _FIRST_BACKOFF
            if not self._reasons:
                self._work.clear()
                self._idle.set()

    async def _disable_all(self, reasons: dict[UUID, str]) -> None:
        """Disable reactions, and each alone if the database refuses them together.

        Raises:
            Exception: It may succeed later. Those that are not done are still kept.
        """
        try:
            await self._telling.disable(reasons)
        except Exception as error:
            if is_passing(error):
                raise
            if len(reasons) > 1:
                for reaction_id, reason in reasons.items():
                    await self._disable_all({reaction_id: reason})
                return
            self._set_aside(*reasons.popitem(), error)
        else:
            for reaction_id in reasons:
                del self._reasons[reaction_id]
                self._refused.pop(reaction_id, None)

    def _set_aside(self, reaction_id: UUID, reason: str, error: Exception) -> None:
        del self._reasons[reaction_id]
        is_known = reaction_id in self._refused
        self._refused[reaction_id] = time.monotonic() + _REFUSED_AGAIN
        if not is_known:
            logger.error(
                "reaction %s cannot be disabled (%s), although %s; it is tried again when that"
                " recurs, once in %.0f s, and reported once",
                reaction_id,
                text_of(error),
                reason,
                _REFUSED_AGAIN,
            )

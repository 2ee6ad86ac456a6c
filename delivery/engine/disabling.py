"""Disables reactions after their endpoint is gone, apart from the writing of results."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final

from delivery.store.failures import text_of

if TYPE_CHECKING:
    from uuid import UUID

    from delivery.engine.telling import Telling

__all__ = ["Disabling"]

logger = logging.getLogger(__name__)

_RESULTS_WAIT: Final = 1.0
"""Seconds for which results wait until a reaction is disabled."""
_FIRST_BACKOFF: Final = 0.05
_MAX_BACKOFF: Final = 5.0


class Disabling:
    """Keeps the reactions to disable until that is written.

    Results wait for it a moment, so that usually a reaction is disabled once the job that found it
    gone is settled. They are never refused or held up by it.
    """

    def __init__(self, telling: Telling) -> None:
        self._telling = telling
        self._reasons: dict[UUID, str] = {}
        self._is_new = False
        self._work = asyncio.Event()
        self._idle = asyncio.Event()

    def add(self, reaction_id: UUID, reason: str) -> None:
        """Disable a reaction soon."""
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
            reasons = dict(self._reasons)
            try:
                await self._telling.disable(reasons)
            except Exception as error:  # noqa: BLE001 - each is kept and tried again
                logger.warning(
                    "%d reactions could not be disabled (%s); trying again in %.1f s",
                    len(reasons),
                    text_of(error),
                    backoff,
                )
                await asyncio.sleep(backoff)
                backoff = min(backoff * 2, _MAX_BACKOFF)
                continue
            backoff = _FIRST_BACKOFF
            for reaction_id in reasons:
                del self._reasons[reaction_id]
            if not self._reasons:
                self._work.clear()
                self._idle.set()

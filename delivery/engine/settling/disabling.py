"""Disabling of reactions whose endpoint is gone, separate from the writing of results."""

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
"""Seconds that results wait until a reaction is disabled."""
_FIRST_BACKOFF: Final = 0.05
_MAX_BACKOFF: Final = 5.0
_REFUSED_AGAIN: Final = 60.0
"""Seconds for which a reaction rests that the database refused to disable."""


class Disabling:
    """Role that disables reactions, and retries until that is written.

    Results wait for it briefly, so that a reaction is usually disabled when the job that found its
    endpoint gone is settled. They are never blocked or refused because of it. A reaction that the
    database refuses to disable rests for a minute and is logged once; it does not block others. If
    its endpoint is still gone after that, the next call reports it again.
    """

    def __init__(self, announcements: Announcements) -> None:
        self._announcements = announcements
        self._reasons: dict[UUID, str] = {}
        self._refused: dict[UUID, float] = {}
        """Resting reactions, and the ends of their rests."""
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
        """Wait briefly, and only once, until the reactions just added are disabled."""
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
            except Exception as error:  # noqa: BLE001 - all are retried
                logger.warning(
                    "cannot disable %d reactions (%s); retrying in %.1f s",
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
        """Disable reactions; if the database refuses them together, each one alone.

        Raises:
            Exception: It may succeed later. The remaining reactions are retried.
        """
        try:
            await self._announcements.disable(reasons)
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
                "reaction %s cannot be disabled (%s), although %s; retrying when that recurs, once"
                " in %.0f s; further errors are not logged",
                reaction_id,
                text_of(error),
                reason,
                _REFUSED_AGAIN,
            )

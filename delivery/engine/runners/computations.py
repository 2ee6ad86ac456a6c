"""Turns of long computations, which take half of the time at most.

Filling in placeholders from a large payload, or searching for hundreds of secrets, takes
milliseconds in which the event loop does nothing else. So such computations take turns, lane by
lane. A pause of the same length follows each of them, in which the event loop is free.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final

from delivery.policy.round_robin import Rounds

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

__all__ = ["Computations"]

_SHORT: Final = 0.0005
"""Seconds up to which a computation needs no pause."""


class Computations:
    """Queue of computations.

    Args:
        clock: Seconds of a clock that is never set. Tests replace it.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._waiting: Rounds[asyncio.Future[None]] = Rounds()
        self._given = False
        """True if a turn was given whose computation has not begun."""
        self._began = 0.0
        self._free_at = 0.0
        self._timer: asyncio.TimerHandle | None = None

    async def begin(self, tenant: Hashable, lane: Hashable) -> None:
        """Wait for the turn; `end` must follow in the same turn of the event loop."""
        now = self._clock()
        if self._waiting or self._given or now < self._free_at:
            turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.add(tenant, lane, turn)
            self._schedule()
            try:
                await turn
            except asyncio.CancelledError:
                if not turn.cancelled():
                    self._given = False
                    self._schedule()
                raise
            now = self._clock()
        self._began = now

    async def run(self, tenant: Hashable, lane: Hashable, work: Callable[[], None]) -> None:
        """Run `work` in turn. If cancelled while waiting, run it immediately."""
        try:
            await self.begin(tenant, lane)
        except asyncio.CancelledError:
            work()
            raise
        try:
            work()
        finally:
            self.end()

    def end(self) -> None:
        """Note the end of the computation."""
        now = self._clock()
        took = now - self._began
        self._free_at = now + took if took > _SHORT else now
        self._given = False
        self._schedule()

    def _schedule(self) -> None:
        """Schedule the next turn."""
        if self._waiting and not self._given and self._timer is None:
            delay = max(self._free_at - self._clock(), 0.0)
            self._timer = asyncio.get_running_loop().call_later(delay, self._next)

    def _next(self) -> None:
        self._timer = None
        # Timers of uvloop count whole milliseconds, and can fire up to one too early.
        if self._clock() < self._free_at:
            self._schedule()
            return
        while not self._given:
            taken = self._waiting.take()
            if taken is None:
                return
            turn = taken[2]
            if not turn.done():
                self._given = True
                turn.set_result(None)

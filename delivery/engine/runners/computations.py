"""Long computations of calls: in turns, and for half of the time at most.

To fill in placeholders from a large payload, or to look for hundreds of secrets, takes some
milliseconds, in which the event loop does nothing else. So calls that may need as much take turns,
lane by lane, and each computation is followed by a pause of the same length, in which everything
else has the event loop for itself.
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
"""Seconds up to which a computation is followed by no pause."""


class Computations:
    """Turns of long computations, one after the other.

    Args:
        clock: Seconds of a clock that is never set. Tests replace it.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._waiting: Rounds[asyncio.Future[None]] = Rounds()
        self._given = False
        """Whether somebody has the turn, and has not begun yet."""
        self._began = 0.0
        self._free_at = 0.0
        self._timer: asyncio.TimerHandle | None = None

    async def begin(self, tenant: Hashable, lane: Hashable) -> None:
        """Wait for the turn; `end` must follow, in the same turn of the event loop."""
        now = self._clock()
        if self._waiting or self._given or now < self._free_at:
            turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.add(tenant, lane, turn)
            self._arrange()
            try:
                await turn
            except asyncio.CancelledError:
                if not turn.cancelled():
                    self._given = False
                    self._arrange()
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
        """Note that the computation is over."""
        now = self._clock()
        took = now - self._began
        self._free_at = now + took if took > _SHORT else now
        self._given = False
        self._arrange()

    def _arrange(self) -> None:
        """See to it that the next one has its turn."""
        if self._waiting and not self._given and self._timer is None:
            delay = max(self._free_at - self._clock(), 0.0)
            self._timer = asyncio.get_running_loop().call_later(delay, self._next)

    def _next(self) -> None:
        self._timer = None
        # Timers of uvloop count whole milliseconds, and can fire up to one too early.
        if self._clock() < self._free_at:
            self._arrange()
            return
        while not self._given:
            taken = self._waiting.take()
            if taken is None:
                return
            turn = taken[2]
            if not turn.done():
                self._given = True
                turn.set_result(None)

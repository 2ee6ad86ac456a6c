"""Work that is too long to be done all at once: a little of it in each turn of the event loop."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final

from delivery.policy.round_robin import Rounds

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["HandshakeScheduler"]

_SECONDS_A_TURN: Final = 0.002


class HandshakeScheduler:
    """Runs steps for about two milliseconds in each turn of the event loop.

    Those of one host run in the order in which they come, and hosts take turns.

    A hundred handshakes whose answers arrive together would otherwise be computed in one turn, and
    every other call, timer and heartbeat would wait for all of them. Between the turns the event
    loop does whatever else is due, so nothing is later than that and one step more. What waits for
    the network is not here, and holds up nobody.
    """

    __slots__ = ("_running", "_steps")

    def __init__(self) -> None:
        self._steps: Rounds[Callable[[], None]] = Rounds()
        self._running = False

    def add(self, host: str, step: Callable[[], None]) -> None:
        """Run the step, which must not raise, when it is its turn."""
        self._steps.add(host, None, step)
        if not self._running:
            self._running = True
            asyncio.get_running_loop().call_soon(self._run)

    def _run(self) -> None:
        ends = time.perf_counter() + _SECONDS_A_TURN
        steps = self._steps
        try:
            while time.perf_counter() < ends:
                turn = steps.take()
                if turn is None:
                    break
                turn[2]()
        finally:
            # Also behind a step that raised against the rules: the others must not wait for ever.
            self._running = bool(steps)
            if steps:
                asyncio.get_running_loop().call_soon(self._run)

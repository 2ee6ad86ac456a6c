"""Scheduler that spreads TLS handshakes over the turns of the event loop."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final

from delivery.policy.round_robin import Rounds

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["HandshakeScheduler"]

_SECONDS_PER_TURN: Final = 0.002


class HandshakeScheduler:
    """Scheduler that runs steps for about 2 ms in each turn of the event loop.

    The steps of one host run in order; hosts are served round-robin.

    Without it, the event loop would compute a hundred handshakes in one turn when their messages
    arrive together, and all other calls, timers and heartbeats would wait. With it, they wait for
    at most 2 ms and one step. A handshake that waits for the network is not in the scheduler.
    """

    __slots__ = ("_running", "_steps")

    def __init__(self) -> None:
        self._steps: Rounds[Callable[[], None]] = Rounds()
        self._running = False

    def add(self, host: str, step: Callable[[], None]) -> None:
        """Schedule a step, which must not raise."""
        self._steps.add(host, None, step)
        if not self._running:
            self._running = True
            asyncio.get_running_loop().call_soon(self._run)

    def _run(self) -> None:
        deadline = time.perf_counter() + _SECONDS_PER_TURN
        steps = self._steps
        try:
            while time.perf_counter() < deadline:
                turn = steps.take()
                if turn is None:
                    break
                turn[2]()
        finally:
            # Also after a step that raises, so that the remaining steps do not wait forever.
            self._running = bool(steps)
            if steps:
                asyncio.get_running_loop().call_soon(self._run)

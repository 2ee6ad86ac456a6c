"""Queue of waits for a session of the pool."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from delivery.store.driver.session import Session

__all__ = ["Turn", "Turns"]

Turn: TypeAlias = "asyncio.Future[Session | None]"
"""Result: a session, or None for permission to open one."""


class Turns:
    """Waits in the order in which they are served: urgent waits first, then by arrival."""

    def __init__(self) -> None:
        self._urgent: deque[Turn] = deque()
        self._ordinary: deque[Turn] = deque()

    def join(self, *, urgent: bool) -> Turn:
        """Add a wait."""
        turn: Turn = asyncio.get_running_loop().create_future()
        (self._urgent if urgent else self._ordinary).append(turn)
        return turn

    def first(self) -> tuple[Turn, bool] | None:
        """Return the next wait and True if it is urgent; None if there is no wait.

        The wait stays in the queue until it has a result.
        """
        for queue in (self._urgent, self._ordinary):
            while queue:
                if not queue[0].done():
                    return queue[0], queue is self._urgent
                queue.popleft()
        return None

    def leave(self, turn: Turn) -> None:
        """Remove a wait that has ended in any way."""
        for queue in (self._urgent, self._ordinary):
            if turn in queue:
                queue.remove(turn)

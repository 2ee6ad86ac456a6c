"""The connections of one endpoint: which are free, how many there are, and who waits for one."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from delivery.http.connection import Connection

__all__ = ["Pool"]


class Pool:
    """Places for connections to one endpoint.

    Each connection holds a place, whether in use, free, or being made. Free connections and places
    are handed to those who wait in the order in which they came, so that nobody who asks later is
    served first.

    Args:
        limit: Places there are.
    """

    __slots__ = ("_limit", "_taken", "_waiting", "free")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._taken = 0
        self._waiting: deque[asyncio.Future[Connection | None]] = deque()
        self.free: list[Connection] = []
        """Connections that nobody uses, the one used last at the end."""

    @property
    def is_unused(self) -> bool:
        """Whether nobody has a place, nor waits for one."""
        return not self._taken and not self._waiting

    @property
    def is_full(self) -> bool:
        """Whether all places are taken."""
        return self._taken >= self._limit

    def enter(self) -> None:
        """Take an empty place, of which there must be one; give it back by `leave`."""
        self._taken += 1

    async def wait(self) -> Connection | None:
        """Wait for a place; there may be a connection in it, which need no longer be usable.

        It must be given back by `hand_over` or `leave`.
        """
        waiter: asyncio.Future[Connection | None] = asyncio.get_running_loop().create_future()
        self._waiting.append(waiter)
        try:
            return await waiter
        except asyncio.CancelledError:
            if waiter.cancelled():
                if waiter in self._waiting:
                    self._waiting.remove(waiter)
            else:
                self._pass_on(waiter.result())
            raise

    def hand_over(self, connection: Connection) -> bool:
        """Give a place with a connection to whoever waits longest; False: nobody waits."""
        return self._give(connection)

    def leave(self) -> None:
        """Give back a place without a connection in it."""
        if not self._give(None):
            self._taken -= 1

    def _pass_on(self, connection: Connection | None) -> None:
        """Give on what came in the same moment in which the waiting was given up."""
        if connection is not None:
            if self.hand_over(connection):
                return
            connection.abort()
        self.leave()

    def _give(self, connection: Connection | None) -> bool:
        while self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.done():
                waiter.set_result(connection)
                return True
        return False

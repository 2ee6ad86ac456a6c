"""The places for calls to one endpoint: how many there are, who has them, and who waits for one.

Several tenants may call the same endpoint, and one of them a part of it that is slow. So that its
calls do not take all places, the last ones are kept for others: an eighth for lanes that have no
place yet, and half of these for tenants that have none. Who waits is served in turns, tenant by
tenant and lane by lane, and not in the order in which they came.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from delivery.policy.rounds import Rounds

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from delivery.http.connection import Connection

__all__ = ["Place", "Pool"]

_KEPT_FOR_LANES: Final = 8
_KEPT_FOR_TENANTS: Final = 16
"""One place in so many."""


class Place:
    """A place that was given to who waited for it; it must be given back, used or not."""

    __slots__ = ("_release", "pool")

    def __init__(self, pool: Pool, release: Callable[[], None]) -> None:
        self.pool = pool
        self._release = release

    def release(self) -> None:
        """Give the place back without having used it."""
        self._release()


class Pool:
    """The calls to one endpoint, and the connections to it that are free.

    A call takes a free connection if there is one and makes a new one if there is none, so there
    are never more connections than places.

    Args:
        limit: Places there are.
        crowded: The pools that have only their last places left, kept up to date by each.
    """

    __slots__ = (
        "_crowded",
        "_in_use",
        "_kept_for_lanes",
        "_kept_for_tenants",
        "_lanes",
        "_limit",
        "_nobody_may",
        "_tenants",
        "_waiting",
        "free",
    )

    def __init__(self, limit: int, crowded: set[Pool]) -> None:
        self._limit = limit
        self._crowded = crowded
        self._kept_for_lanes = limit // _KEPT_FOR_LANES
        self._kept_for_tenants = limit // _KEPT_FOR_TENANTS
        self._in_use = 0
        self._lanes: dict[Hashable, int] = {}
        """Places that lanes have."""
        self._tenants: dict[Hashable, int] = {}
        self._waiting: Rounds[asyncio.Future[None]] = Rounds()
        self._nobody_may = False
        """Whether none of those who wait may have one of the last places."""
        self.free: list[Connection] = []
        """Connections that nobody uses, the one used last at the end."""

    @property
    def is_unused(self) -> bool:
        """Whether nobody has a place or waits for one, and no connection is kept."""
        return not self._in_use and not self.free and not self._waiting

    def admits(self, tenant: Hashable, lane: Hashable) -> bool:
        """Return whether a call may have a place at once."""
        left = self._limit - self._in_use
        return (
            left > self._kept_for_lanes
            or (left > self._kept_for_tenants and lane not in self._lanes)
            or (left > 0 and tenant not in self._tenants)
        )

    def enter(self, tenant: Hashable, lane: Hashable) -> None:
        """Take a place, which `admits` must have allowed; give it back by `leave`."""
        self._in_use += 1
        if self._limit - self._in_use == self._kept_for_lanes:
            self._crowded.add(self)
        lanes, tenants = self._lanes, self._tenants
        lanes[lane] = lanes.get(lane, 0) + 1
        tenants[tenant] = tenants.get(tenant, 0) + 1

    def leave(self, tenant: Hashable, lane: Hashable) -> None:
        """Give a place back, and let those who wait have it."""
        self._in_use -= 1
        left = self._limit - self._in_use
        if left == self._kept_for_lanes + 1:
            self._crowded.discard(self)
        if left == self._kept_for_tenants + 1:
            self._nobody_may = False
        for held, key in ((self._lanes, lane), (self._tenants, tenant)):
            if held[key] > 1:
                held[key] -= 1
            else:
                del held[key]
                self._nobody_may = False
        if self._waiting:
            self._serve()

    def ask(self, tenant: Hashable, lane: Hashable) -> asyncio.Future[None]:
        """Wait for a place.

        Once the future has a result the place is taken, and must be given back by `leave`.
        Cancelling the future gives up the turn.
        """
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.add(tenant, lane, waiter)
        self._nobody_may = False
        self._serve()
        return waiter

    async def wait(self, tenant: Hashable, lane: Hashable) -> None:
        """Wait for a place, which must be given back by `leave`."""
        waiter = self.ask(tenant, lane)
        try:
            await waiter
        except asyncio.CancelledError:
            if not waiter.cancelled():
                # It came in the same moment in which the waiting was given up.
                self.leave(tenant, lane)
            raise

    def _serve(self) -> None:
        while self._waiting and self._limit > self._in_use:
            if self._limit - self._in_use > self._kept_for_lanes:
                self._nobody_may = False
            elif self._nobody_may:
                return
            turn = self._waiting.take(self.admits)
            if turn is None:
                self._nobody_may = True
                return
            tenant, lane, waiter = turn
            if not waiter.done():
                self.enter(tenant, lane)
                waiter.set_result(None)

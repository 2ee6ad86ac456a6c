"""The places for calls to one endpoint: how many there are, who has them, and who waits for one.

Several tenants may call the same endpoint, and one of them a part of it that is slow. So that its
calls do not take all places, the last ones are kept for others: an eighth for lanes that have no
place yet, and half of these for tenants that have none. Who waits is served in turns, tenant by
tenant and lane by lane, and not in the order in which they came.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING, Final, Protocol

from delivery.policy.rounds import Rounds

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable
    from uuid import UUID

    from delivery.http.connection import Connection

__all__ = ["Caller", "Place", "Pool"]

_KEPT_FOR_LANES: Final = 8
_KEPT_FOR_TENANTS: Final = 16
"""One place in so many."""


class Caller(Protocol):
    """Who a place is for; told apart by identity."""

    tenant: str | None
    lane: UUID | None


class Place:
    """A place that was given to who waited for it; it must be given back, used or not."""

    __slots__ = ("_release", "lane", "pool", "tenant")

    def __init__(
        self,
        pool: Pool,
        tenant: str | None,
        lane: UUID | None,
        release: Callable[[Place], None],
    ) -> None:
        self.pool = pool
        self.tenant = tenant
        self.lane = lane
        self._release = release

    def release(self) -> None:
        """Give the place back without having used it."""
        self._release(self)


class Pool:
    """The calls to one endpoint, and the connections to it that are free.

    A call takes a free connection if there is one and makes a new one if there is none, so there
    are never more connections than places.

    Args:
        limit: Places there are.
        crowded: The pools that have only their last places left, kept up to date by each.
    """

    __slots__ = (
        "_callers",
        "_crowded",
        "_for_all",
        "_for_lanes",
        "_lanes",
        "_limit",
        "_nobody_may",
        "_tenants",
        "_waiting",
        "free",
    )

    def __init__(self, limit: int, crowded: set[Pool]) -> None:
        self._limit = limit
        self._for_all = limit - limit // _KEPT_FOR_LANES
        """Places that anybody may have."""
        self._for_lanes = limit - limit // _KEPT_FOR_TENANTS
        """The same and those that lanes may have which have none."""
        self._crowded = crowded
        self._callers: set[Caller] = set()
        self._lanes: Counter[Hashable] = Counter()
        """Places that lanes have; counted only while no more than the last ones are left."""
        self._tenants: Counter[Hashable] = Counter()
        self._waiting: Rounds[tuple[Caller, asyncio.Future[None]]] = Rounds()
        self._nobody_may = False
        """Whether none of those who wait may have one of the last places."""
        self.free: list[Connection] = []
        """Connections that nobody uses, the one used last at the end."""

    @property
    def is_unused(self) -> bool:
        """Whether nobody has a place or waits for one, and no connection is kept."""
        return not self._callers and not self.free and not self._waiting

    def admits(self, tenant: Hashable, lane: Hashable) -> bool:
        """Return whether a call may have a place at once."""
        taken = len(self._callers)
        return (
            taken < self._for_all
            or (taken < self._for_lanes and lane not in self._lanes)
            or (taken < self._limit and tenant not in self._tenants)
        )

    def enter(self, caller: Caller) -> None:
        """Take a place, which `admits` must have allowed; give it back by `leave`."""
        callers = self._callers
        callers.add(caller)
        taken = len(callers)
        if taken > self._for_all:
            self._lanes[caller.lane] += 1
            self._tenants[caller.tenant] += 1
        elif taken == self._for_all:
            self._crowded.add(self)
            self._lanes = Counter(each.lane for each in callers)
            self._tenants = Counter(each.tenant for each in callers)

    def leave(self, caller: Caller) -> None:
        """Give a place back, and let those who wait have it."""
        callers = self._callers
        callers.remove(caller)
        if len(callers) < self._for_all - 1:
            return
        if len(callers) == self._for_all - 1:
            self._crowded.discard(self)
        elif len(callers) == self._for_lanes - 1:
            self._nobody_may = False
        for held, key in ((self._lanes, caller.lane), (self._tenants, caller.tenant)):
            held[key] -= 1
            if not held[key]:
                del held[key]
                self._nobody_may = False
        if self._waiting:
            self._serve()

    def ask(self, caller: Caller) -> asyncio.Future[None]:
        """Wait for a place.

        Once the future has a result the place is taken, and must be given back by `leave`.
        Cancelling the future gives up the turn.
        """
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.add(caller.tenant, caller.lane, (caller, waiter))
        self._nobody_may = False
        self._serve()
        return waiter

    async def wait(self, caller: Caller) -> None:
        """Wait for a place, which must be given back by `leave`."""
        waiter = self.ask(caller)
        try:
            await waiter
        except asyncio.CancelledError:
            if not waiter.cancelled():
                # It came in the same moment in which the waiting was given up.
                self.leave(caller)
            raise

    def _serve(self) -> None:
        while self._waiting and len(self._callers) < self._limit:
            if len(self._callers) < self._for_all:
                self._nobody_may = False
            elif self._nobody_may:
                return
            turn = self._waiting.take(self.admits)
            if turn is None:
                self._nobody_may = True
                return
            caller, waiter = turn[2]
            if not waiter.done():
                self.enter(caller)
                waiter.set_result(None)

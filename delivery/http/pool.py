"""The places for calls to one endpoint: their number, their holders, and the waiting calls.

Several tenants may call the same endpoint, and one of them a part of it that is slow. So that its
calls do not take all places, the last ones are kept for others: an eighth for lanes that have no
place yet, and half of these for tenants that have none. Waiting calls are served round-robin by
tenant, then by lane.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, Protocol

from delivery.policy.round_robin import Rounds

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable
    from uuid import UUID

    from delivery.http.connection import HttpConnection

__all__ = ["Caller", "EndpointPool", "Slot"]

_KEPT_FOR_LANES: Final = 8
_KEPT_FOR_TENANTS: Final = 16
"""One place in so many."""


class Caller(Protocol):
    """The call that a place is for."""

    tenant: str | None
    lane: UUID | None


class Slot:
    """A place granted to a waiting call. Release it whether or not it is used."""

    __slots__ = ("_release", "lane", "pool", "tenant")

    def __init__(
        self,
        pool: EndpointPool,
        tenant: str | None,
        lane: UUID | None,
        release: Callable[[Slot], None],
    ) -> None:
        self.pool = pool
        self.tenant = tenant
        self.lane = lane
        self._release = release

    def release(self) -> None:
        """Give the place back without having used it."""
        self._release(self)


class EndpointPool:
    """The calls to one endpoint, and the connections to it that are free.

    A call takes a free connection if there is one and makes a new one if there is none, so there
    are never more connections than places.

    Args:
        limit: Places there are.
        crowded: The pools that have only their last places left, kept up to date by each.
    """

    __slots__ = (
        "_for_all",
        "_for_lanes",
        "_lanes",
        "_limit",
        "_saturated",
        "_taken",
        "_tenants",
        "_waiting",
        "_waiting_lanes",
        "_waiting_tenants",
        "free",
    )

    def __init__(self, limit: int, saturated: set[EndpointPool]) -> None:
        self._limit = limit
        self._for_all = limit - limit // _KEPT_FOR_LANES
        """Places that anybody may have."""
        self._for_lanes = limit - limit // _KEPT_FOR_TENANTS
        """The same and those that lanes may have which have none."""
        self._saturated = saturated
        self._taken = 0
        self._lanes: dict[Hashable, int] = {}
        """How many places each lane has that has one."""
        self._tenants: dict[Hashable, int] = {}
        """How many places each tenant has that has one."""
        self._waiting: Rounds[tuple[Caller, asyncio.Future[None]]] = Rounds()
        self._waiting_lanes: dict[tuple[Hashable, Hashable], None] = {}
        """Tenant and lane of those that wait and have no place, the longest first. With this and
        the next, finding who may have a last place takes the same time however many wait."""
        self._waiting_tenants: dict[Hashable, None] = {}
        """Tenants that wait and have no place, the longest first."""
        self.free: list[HttpConnection] = []
        """Connections that nobody uses, the one used last at the end."""

    @property
    def is_unused(self) -> bool:
        """Whether nobody has a place or waits for one, and no connection is kept."""
        return not self._taken and not self.free and not self._waiting.count

    def admits(self, tenant: Hashable, lane: Hashable) -> bool:
        """Return whether a call may have a place at once."""
        taken = self._taken
        return (
            taken < self._for_all
            or (taken < self._for_lanes and lane not in self._lanes)
            or (taken < self._limit and tenant not in self._tenants)
        )

    def try_enter(self, caller: Caller) -> bool:
        """Take a place if `admits` allows it at once, and return whether it does."""
        if self._taken >= self._for_all - 1 or self._waiting.count:
            if not self.admits(caller.tenant, caller.lane):
                return False
            self.enter(caller)
            return True
        # The same as `enter` where nobody waits and nothing is scarce.
        tenant, lane = caller.tenant, caller.lane
        lanes, tenants = self._lanes, self._tenants
        lanes[lane] = lanes.get(lane, 0) + 1
        tenants[tenant] = tenants.get(tenant, 0) + 1
        self._taken += 1
        return True

    def enter(self, caller: Caller) -> None:
        """Take a place, which `admits` must have allowed; give it back by `leave`."""
        tenant, lane = caller.tenant, caller.lane
        lanes, tenants = self._lanes, self._tenants
        lanes[lane] = lanes.get(lane, 0) + 1
        tenants[tenant] = tenants.get(tenant, 0) + 1
        self._taken += 1
        if self._taken == self._for_all:
            self._saturated.add(self)
        if self._waiting_lanes:
            self._waiting_lanes.pop((tenant, lane), None)
            self._waiting_tenants.pop(tenant, None)

    def leave(self, caller: Caller) -> None:
        """Give a place back, and let those who wait have it."""
        tenant, lane = caller.tenant, caller.lane
        lanes, tenants, waiting = self._lanes, self._tenants, self._waiting
        if self._taken == self._for_all:
            self._saturated.discard(self)
        self._taken -= 1
        if lanes[lane] > 1:
            lanes[lane] -= 1
        else:
            del lanes[lane]
            if waiting.count and waiting.has(tenant, lane):
                self._waiting_lanes[tenant, lane] = None
        if tenants[tenant] > 1:
            tenants[tenant] -= 1
        else:
            del tenants[tenant]
            if waiting.count and waiting.has_tenant(tenant):
                self._waiting_tenants[tenant] = None
        if waiting.count:
            self._serve()

    def ask(self, caller: Caller) -> asyncio.Future[None]:
        """Wait for a place.

        Once the future has a result the place is taken, and must be given back by `leave`.
        Cancelling the future gives up the turn.
        """
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.add(caller.tenant, caller.lane, (caller, waiter))
        if caller.lane not in self._lanes:
            self._waiting_lanes[caller.tenant, caller.lane] = None
        if caller.tenant not in self._tenants:
            self._waiting_tenants[caller.tenant] = None
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
        while self._waiting.count:
            turn = self._next()
            if turn is None:
                return
            caller, waiter = turn
            if not waiter.done():
                self.enter(caller)
                waiter.set_result(None)
            else:
                self._forget(caller)

    def _next(self) -> tuple[Caller, asyncio.Future[None]] | None:
        """Take who may have a place now from those who wait."""
        taken = self._taken
        if taken < self._for_all:
            turn = self._waiting.take()
            return None if turn is None else turn[2]
        if taken < self._for_lanes and self._waiting_lanes:
            return self._waiting.take_of_lane(*next(iter(self._waiting_lanes)))
        if taken < self._limit and self._waiting_tenants:
            return self._waiting.take_of_tenant(next(iter(self._waiting_tenants)))
        return None

    def _forget(self, caller: Caller) -> None:
        """Note that a caller gave up its turn, which may have been the last one of its lane."""
        if not self._waiting.has(caller.tenant, caller.lane):
            self._waiting_lanes.pop((caller.tenant, caller.lane), None)
        if not self._waiting.has_tenant(caller.tenant):
            self._waiting_tenants.pop(caller.tenant, None)

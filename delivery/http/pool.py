"""Slots for the calls to one endpoint, their holders, and the waiting calls.

Several tenants may call the same endpoint, and a part of it that one tenant calls may be slow. To
prevent its calls from taking all slots, one eighth of the slots is reserved for lanes without a
slot, and half of these for tenants without a slot. Waiting calls are served round-robin by tenant,
then by lane.
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

_RESERVED_FOR_LANES: Final = 8
"""One in this number of slots is reserved for lanes without a slot."""
_RESERVED_FOR_TENANTS: Final = 16
"""One in this number of slots is reserved for tenants without a slot."""


class Caller(Protocol):
    """Tenant and lane of a call."""

    tenant: str | None
    lane: UUID | None


class Slot:
    """Slot granted to a waiting call. Release it unless a request uses it."""

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
        """Release the unused slot."""
        self._release(self)


class EndpointPool:
    """Slots and idle connections of one endpoint.

    A call takes an idle connection if there is one, and opens a connection otherwise, so there are
    never more connections than slots.

    Args:
        limit: Number of slots.
        saturated: Set of the pools that have only reserved slots left. Each pool adds and removes
            itself.
    """

    __slots__ = (
        "_lanes",
        "_limit",
        "_not_for_tenants",
        "_saturated",
        "_taken",
        "_tenants",
        "_unreserved",
        "_waiting",
        "_waiting_lanes",
        "_waiting_tenants",
        "idle",
    )

    def __init__(self, limit: int, saturated: set[EndpointPool]) -> None:
        self._limit = limit
        self._unreserved = limit - limit // _RESERVED_FOR_LANES
        """Number of slots that are not reserved."""
        self._not_for_tenants = limit - limit // _RESERVED_FOR_TENANTS
        """Number of slots that are not reserved for tenants."""
        self._saturated = saturated
        self._taken = 0
        self._lanes: dict[Hashable, int] = {}
        """Number of slots of each lane that has any."""
        self._tenants: dict[Hashable, int] = {}
        """Number of slots of each tenant that has any."""
        self._waiting: Rounds[tuple[Caller, asyncio.Future[None]]] = Rounds()
        self._waiting_lanes: dict[tuple[Hashable, Hashable], None] = {}
        """Tenant and lane of the waiting lanes without a slot, the longest wait first. With this
        index and the next, granting a reserved slot takes constant time."""
        self._waiting_tenants: dict[Hashable, None] = {}
        """Waiting tenants without a slot, the longest wait first."""
        self.idle: list[HttpConnection] = []
        """Idle connections, the one used last at the end."""

    @property
    def is_unused(self) -> bool:
        """True without slots in use, waiting calls and idle connections."""
        return not self._taken and not self.idle and not self._waiting.count

    def admits(self, tenant: Hashable, lane: Hashable) -> bool:
        """Return whether a call gets a slot immediately."""
        taken = self._taken
        return (
            taken < self._unreserved
            or (taken < self._not_for_tenants and lane not in self._lanes)
            or (taken < self._limit and tenant not in self._tenants)
        )

    def try_enter(self, caller: Caller) -> bool:
        """Take a slot if `admits` allows it. Return whether a slot was taken."""
        if self._taken >= self._unreserved - 1 or self._waiting.count:
            if not self.admits(caller.tenant, caller.lane):
                return False
            self.enter(caller)
            return True
        # Inlined `enter` without its checks: no call waits, and no slot is scarce.
        tenant, lane = caller.tenant, caller.lane
        lanes, tenants = self._lanes, self._tenants
        lanes[lane] = lanes.get(lane, 0) + 1
        tenants[tenant] = tenants.get(tenant, 0) + 1
        self._taken += 1
        return True

    def enter(self, caller: Caller) -> None:
        """Take a slot. `admits` must have allowed it. Release it with `leave`."""
        tenant, lane = caller.tenant, caller.lane
        lanes, tenants = self._lanes, self._tenants
        lanes[lane] = lanes.get(lane, 0) + 1
        tenants[tenant] = tenants.get(tenant, 0) + 1
        self._taken += 1
        if self._taken == self._unreserved:
            self._saturated.add(self)
        if self._waiting_lanes:
            self._waiting_lanes.pop((tenant, lane), None)
            self._waiting_tenants.pop(tenant, None)

    def leave(self, caller: Caller) -> None:
        """Release a slot, and grant it to a waiting call."""
        tenant, lane = caller.tenant, caller.lane
        lanes, tenants, waiting = self._lanes, self._tenants, self._waiting
        if self._taken == self._unreserved:
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
            self._grant_slots()

    def request(self, caller: Caller) -> asyncio.Future[None]:
        """Request a slot.

        When the future has a result, the slot is taken; release it with `leave`. Cancelling the
        future withdraws the request.
        """
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.add(caller.tenant, caller.lane, (caller, waiter))
        if caller.lane not in self._lanes:
            self._waiting_lanes[caller.tenant, caller.lane] = None
        if caller.tenant not in self._tenants:
            self._waiting_tenants[caller.tenant] = None
        self._grant_slots()
        return waiter

    async def wait(self, caller: Caller) -> None:
        """Wait for a slot. Release it with `leave`."""
        waiter = self.request(caller)
        try:
            await waiter
        except asyncio.CancelledError:
            if not waiter.cancelled():
                # The slot was granted in the same turn of the event loop.
                self.leave(caller)
            raise

    def _grant_slots(self) -> None:
        while self._waiting.count:
            turn = self._take_next()
            if turn is None:
                return
            caller, waiter = turn
            if not waiter.done():
                self.enter(caller)
                waiter.set_result(None)
            else:
                self._withdraw(caller)

    def _take_next(self) -> tuple[Caller, asyncio.Future[None]] | None:
        """Remove and return the waiting call that gets a slot now."""
        taken = self._taken
        if taken < self._unreserved:
            turn = self._waiting.take()
            return None if turn is None else turn[2]
        if taken < self._not_for_tenants and self._waiting_lanes:
            return self._waiting.take_of_lane(*next(iter(self._waiting_lanes)))
        if taken < self._limit and self._waiting_tenants:
            return self._waiting.take_of_tenant(next(iter(self._waiting_tenants)))
        return None

    def _withdraw(self, caller: Caller) -> None:
        """Update the indexes after a withdrawn request, maybe the last one of its lane."""
        if not self._waiting.has(caller.tenant, caller.lane):
            self._waiting_lanes.pop((caller.tenant, caller.lane), None)
        if not self._waiting.has_tenant(caller.tenant):
            self._waiting_tenants.pop(caller.tenant, None)

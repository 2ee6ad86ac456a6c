"""Fair in-memory queue: round-robin by tenant, then by lane."""

from __future__ import annotations

from collections import OrderedDict, deque
from typing import TYPE_CHECKING, Generic, TypeAlias, TypeVar

if TYPE_CHECKING:
    from collections.abc import Hashable

__all__ = ["Rounds"]

T = TypeVar("T")
Turn: TypeAlias = "tuple[Hashable, Hashable, T]"


class Rounds(Generic[T]):
    """Waiting items, with a FIFO queue for each lane of each tenant."""

    __slots__ = ("_tenants", "count")

    def __init__(self) -> None:
        self._tenants: OrderedDict[Hashable, OrderedDict[Hashable, deque[T]]] = OrderedDict()
        """Queues in order of turn: the next tenant first, and its next lane first."""
        self.count = 0
        """Number of waiting items."""

    def __len__(self) -> int:
        return self.count

    def add(self, tenant: Hashable, lane: Hashable, item: T) -> None:
        """Append an item to the queue of its lane."""
        lanes = self._tenants.setdefault(tenant, OrderedDict())
        lanes.setdefault(lane, deque()).append(item)
        self.count += 1

    def take(self) -> Turn[T] | None:
        """Take the next item with its tenant and lane; return None if no item waits."""
        for tenant, lanes in self._tenants.items():
            lane = next(iter(lanes))
            return tenant, lane, self._taken(tenant, lane)
        return None

    def has(self, tenant: Hashable, lane: Hashable) -> bool:
        """Return whether the lane has a waiting item."""
        lanes = self._tenants.get(tenant)
        return lanes is not None and lane in lanes

    def has_tenant(self, tenant: Hashable) -> bool:
        """Return whether the tenant has a waiting item."""
        return tenant in self._tenants

    def take_of_lane(self, tenant: Hashable, lane: Hashable) -> T:
        """Take the next item of a lane out of turn; the lane must have one."""
        return self._taken(tenant, lane)

    def take_of_tenant(self, tenant: Hashable) -> T:
        """Take the next item of a tenant out of turn; the tenant must have one."""
        return self._taken(tenant, next(iter(self._tenants[tenant])))

    def _taken(self, tenant: Hashable, lane: Hashable) -> T:
        lanes = self._tenants[tenant]
        queue = lanes[lane]
        item = queue.popleft()
        self.count -= 1
        if queue:
            lanes.move_to_end(lane)
        else:
            del lanes[lane]
        if lanes:
            self._tenants.move_to_end(tenant)
        else:
            del self._tenants[tenant]
        return item

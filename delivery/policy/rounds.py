"""Who is next, where many wait: tenants in turns, and the lanes of each in turns."""

from __future__ import annotations

from collections import OrderedDict, deque
from typing import TYPE_CHECKING, Generic, TypeAlias, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

__all__ = ["Rounds"]

T = TypeVar("T")
Turn: TypeAlias = "tuple[Hashable, Hashable, T]"


class Rounds(Generic[T]):
    """Items that wait, in one queue for each lane of each tenant."""

    __slots__ = ("_count", "_tenants")

    def __init__(self) -> None:
        self._tenants: OrderedDict[Hashable, OrderedDict[Hashable, deque[T]]] = OrderedDict()
        """Those whose turn is next come first, and so do their lanes."""
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def add(self, tenant: Hashable, lane: Hashable, item: T) -> None:
        """Put an item behind those of its lane."""
        lanes = self._tenants.setdefault(tenant, OrderedDict())
        lanes.setdefault(lane, deque()).append(item)
        self._count += 1

    def take(self, may_have: Callable[[Hashable, Hashable], bool] | None = None) -> Turn[T] | None:
        """Take the next item, with its tenant and lane; None: there is none.

        Args:
            may_have: Says whether a lane of a tenant may have its turn now; None: each may. Those
                that may not keep their turns.
        """
        for tenant, lanes in self._tenants.items():
            for lane in lanes:
                if may_have is None or may_have(tenant, lane):
                    return tenant, lane, self._taken(tenant, lane)
        return None

    def _taken(self, tenant: Hashable, lane: Hashable) -> T:
        lanes = self._tenants[tenant]
        queue = lanes[lane]
        item = queue.popleft()
        self._count -= 1
        if queue:
            lanes.move_to_end(lane)
        else:
            del lanes[lane]
        if lanes:
            self._tenants.move_to_end(tenant)
        else:
            del self._tenants[tenant]
        return item

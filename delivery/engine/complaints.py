"""Which warnings are due: one about the same thing a minute."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Hashable

__all__ = ["Complaints"]

_SECONDS_BETWEEN: Final = 60.0
_KEPT: Final = 10_000


class Complaints:
    """Remembers when each warning was last logged."""

    def __init__(self) -> None:
        self._last: OrderedDict[Hashable, float] = OrderedDict()
        """The oldest first."""

    def is_due(self, about: Hashable, now: float) -> bool:
        """Return whether a warning about this is to be logged now, which counts as done.

        `now` is a time of the monotonic clock.
        """
        last = self._last.get(about)
        if last is not None and now - last < _SECONDS_BETWEEN:
            return False
        self._last[about] = now
        self._last.move_to_end(about)
        if len(self._last) > _KEPT:
            self._last.popitem(last=False)
        return True

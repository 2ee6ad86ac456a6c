"""Log messages that would repeat: each is written once, or once in a while."""

from __future__ import annotations

import time
from collections import OrderedDict
from math import inf
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import logging
    from collections.abc import Hashable

__all__ = ["RepeatedLogs"]

_REMEMBERED: Final = 10_000


class RepeatedLogs:
    """Remembers when each message was last logged, so that repetitions do not fill the log.

    Args:
        logger: Writes the messages of `error`.
        every: Seconds between two messages about the same subject; by default only the first one
            is written.
    """

    def __init__(self, logger: logging.Logger, *, every: float = inf) -> None:
        self._logger = logger
        self._every = every
        self._last: OrderedDict[Hashable, float] = OrderedDict()
        """When each subject was last logged, the oldest first."""

    def is_due(self, about: Hashable) -> bool:
        """Return whether to log a message about this subject now, and count it as logged if so."""
        now = time.monotonic()
        last = self._last.get(about)
        if last is not None and now - last < self._every:
            return False
        self._last[about] = now
        self._last.move_to_end(about)
        if len(self._last) > _REMEMBERED:
            self._last.popitem(last=False)
        return True

    def error(self, message: str, error: BaseException | None = None) -> None:
        """Log a message at level ERROR if it is due, with the traceback of `error` if given."""
        if self.is_due(message):
            self._logger.error("%s", message, exc_info=error)

    def forget(self) -> None:
        """Log every message again when it next comes, because its cause has ended."""
        self._last.clear()

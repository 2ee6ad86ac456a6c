"""Rate limit for repeated log messages."""

from __future__ import annotations

import time
from collections import OrderedDict
from math import inf
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import logging
    from collections.abc import Hashable

__all__ = ["RepeatedLogs"]

_MAX_SUBJECTS: Final = 10_000


class RepeatedLogs:
    """Rate limit for repeated log messages.

    Args:
        logger: Logger for `error`.
        every: Minimum seconds between two messages about the same subject. By default, only the
            first message is logged.
    """

    def __init__(self, logger: logging.Logger, *, every: float = inf) -> None:
        self._logger = logger
        self._every = every
        self._last: OrderedDict[Hashable, float] = OrderedDict()
        """Time of the last message about each subject, the oldest first."""

    def is_due(self, subject: Hashable) -> bool:
        """Return whether to log a message about this subject now. If so, count it as logged."""
        now = time.monotonic()
        last = self._last.get(subject)
        if last is not None and now - last < self._every:
            return False
        self._last[subject] = now
        self._last.move_to_end(subject)
        if len(self._last) > _MAX_SUBJECTS:
            self._last.popitem(last=False)
        return True

    def error(self, message: str, error: BaseException | None = None) -> None:
        """Log a message at level ERROR if it is due, with the traceback of `error`, if any."""
        if self.is_due(message):
            self._logger.error("%s", message, exc_info=error)

    def forget(self) -> None:
        """Reset all limits, because the cause of the messages has ended."""
        self._last.clear()

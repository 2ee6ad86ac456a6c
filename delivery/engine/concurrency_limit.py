"""Limit of concurrent calls, which falls while the process is short of files, memory or ports."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    from delivery.http.open_files import FileShares
    from delivery.settings import WorkerSettings

__all__ = ["ConcurrencyLimit", "within_files"]

logger = logging.getLogger(__name__)

_SAME_BURST: Final = 0.5
"""Seconds in which further shortages belong to the same calls, and do not lower the limit again."""
_QUIET: Final = 2.0
"""Seconds without a shortage after which the limit doubles."""


def within_files(worker: WorkerSettings, shares: FileShares) -> WorkerSettings:
    """Return the settings with no more concurrent calls than there are files for.

    A quarter of the sockets is reserved for slow calls: endpoints that hang must not stop others.
    """
    concurrency = min(worker.concurrency, max(shares.sockets * 3 // 4, 1))
    slow = min(worker.slow_concurrency, max(shares.sockets - concurrency, 0))
    if (concurrency, slow) == (worker.concurrency, worker.slow_concurrency):
        return worker
    logger.log(
        logging.WARNING if concurrency < worker.concurrency else logging.INFO,
        "this process may open %s files: it makes up to %d concurrent calls and %d additional slow"
        " ones, instead of %d and %d as set; `ulimit -n` raises the limit",
        shares.limit,
        concurrency,
        slow,
        worker.concurrency,
        worker.slow_concurrency,
    )
    return worker.model_copy(update={"concurrency": concurrency, "slow_concurrency": slow})


class ConcurrencyLimit:
    """Limit of concurrent calls.

    A shortage halves it. Without another shortage for a while it doubles, up to its original value.

    Args:
        most: Limit without a shortage.
        on_more: Function to call when more calls may be made.
    """

    def __init__(self, most: int, on_more: Callable[[], None]) -> None:
        self._most = most
        self._on_more = on_more
        self._lowered_at = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self.limit = most
        """Present limit."""

    def lower(self, in_flight: int, reason: str | None) -> None:
        """Note that a call failed for lack of a resource, with the number of calls in flight."""
        loop = asyncio.get_running_loop()
        now = loop.time()
        if self._timer is None:
            logger.warning(
                "this process lacks a resource (%s): it makes fewer calls for a while, and jobs"
                " return to the queue with their attempts",
                reason,
            )
        else:
            self._timer.cancel()
            if now - self._lowered_at < _SAME_BURST:
                self._timer = loop.call_later(_QUIET, self._raise)
                return
        self.limit = max(min(self.limit, in_flight) // 2, 1)
        self._lowered_at = now
        self._timer = loop.call_later(_QUIET, self._raise)

    def stop(self) -> None:
        """Cancel the timer that raises the limit."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _raise(self) -> None:
        self.limit = min(self.limit * 2, self._most)
        if self.limit < self._most:
            self._timer = asyncio.get_running_loop().call_later(_QUIET, self._raise)
        else:
            self._timer = None
            logger.info("the shortage is over: up to %d concurrent calls again", self._most)
        self._on_more()

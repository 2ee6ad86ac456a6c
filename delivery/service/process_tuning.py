"""Process-wide tuning for dedicated workers; never applied when embedded."""

from __future__ import annotations

import gc
import logging
import resource
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

__all__ = ["allow_open_files", "collect_less_often", "loop_factory"]

logger = logging.getLogger(__name__)

_THRESHOLDS: Final = (10_000, 20, 50)
"""Thresholds of the garbage collector. The defaults of Python are (700, 10, 10)."""


def collect_less_often() -> None:
    """Collect garbage less often, and exclude the existing objects.

    A delivery creates about thirty objects and no reference cycles, and releases all of them once
    it is written. With the default thresholds, collections take a tenth of the CPU time. A cycle is
    still found, a little later.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_THRESHOLDS)


def allow_open_files() -> None:
    """Raise the limit of open files to the maximum, because each running call has a socket.

    If the system refuses, the worker adapts the number of calls to the limit.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        except (ValueError, OSError) as error:
            logger.info("the limit of open files stays at %d: %s", soft, error)


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """Return the event loop factory of uvloop, or None if uvloop is not installed."""
    if find_spec("uvloop") is None:
        return None
    factory: Callable[[], asyncio.AbstractEventLoop] = import_module("uvloop").new_event_loop
    return factory

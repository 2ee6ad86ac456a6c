"""What a process that does nothing but deliver may do to itself, and a library may not."""

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
"""Python's own are (700, 10, 10)."""


def collect_less_often() -> None:
    """Look for reference cycles less often, and never among what is there already.

    A delivery makes some thirty objects that are all gone when it is written, and no cycles, so
    looking for cycles among those in flight finds nothing; it takes a tenth of the CPU time with
    Python's own thresholds. A cycle that is made all the same is found, a little later.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_THRESHOLDS)


def allow_open_files() -> None:
    """Raise the limit of open files as far as this user may: each call in flight has a socket.

    A system that refuses leaves the limit as it is, and a worker fits its calls into that.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        except (ValueError, OSError) as error:
            logger.info("the limit of open files stays at %d: %s", soft, error)


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """That of uvloop where there is uvloop; None: asyncio's own."""
    if find_spec("uvloop") is None:
        return None
    factory: Callable[[], asyncio.AbstractEventLoop] = import_module("uvloop").new_event_loop
    return factory

"""Python's garbage collector in a process that only delivers."""

from __future__ import annotations

import gc
from typing import Final

__all__ = ["collect_less_often"]

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

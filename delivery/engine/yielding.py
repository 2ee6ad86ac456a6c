"""Pauses in long work that consists of many parts."""

from __future__ import annotations

import asyncio
import time
from typing import Final

__all__ = ["LoopYielder"]

_SECONDS_A_TURN: Final = 0.002


class LoopYielder:
    """Pauses for other work of the event loop, about every two milliseconds."""

    __slots__ = ("_began",)

    def __init__(self) -> None:
        self._began = 0.0

    def begin(self) -> None:
        """Note that the work begins."""
        self._began = time.perf_counter()

    async def take(self) -> None:
        """Pause if it is time, for as long as the work took since the last pause."""
        took = time.perf_counter() - self._began
        if took > _SECONDS_A_TURN:
            await asyncio.sleep(took)
            self._began = time.perf_counter()

"""Waits for asynchronous conditions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

__all__ = ["until"]


async def until(condition: Callable[[], Awaitable[bool]], timeout: float = 30.0) -> None:
    """Poll the condition until it holds.

    Raises:
        TimeoutError: if the condition does not hold within `timeout` seconds.
    """
    with anyio.fail_after(timeout):
        while not await condition():
            await anyio.sleep(0.02)

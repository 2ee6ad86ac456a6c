"""Waiting until something is so."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

__all__ = ["until"]


async def until(condition: Callable[[], Awaitable[bool]], timeout: float = 30.0) -> None:
    """Ask again and again until the condition holds.

    Raises:
        TimeoutError: if it does not within `timeout` seconds.
    """
    with anyio.fail_after(timeout):
        while not await condition():
            await anyio.sleep(0.02)

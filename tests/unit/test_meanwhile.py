"""Concurrent work of a block ends with the block."""

from __future__ import annotations

import asyncio
import gc
from typing import Any

import pytest

from delivery.engine.fan_out import _meanwhile

pytestmark = pytest.mark.anyio


async def test_work_ends_when_the_block_is_cancelled_before_it_begins() -> None:
    ended = asyncio.Event()

    async def work() -> None:
        # At this moment the other task has started the work, but has not entered its block.
        task.cancel()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    async def block() -> None:
        async with _meanwhile(work()):
            pytest.fail("the block is cancelled before it begins")

    task = asyncio.create_task(block())
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended.is_set()


async def test_the_error_of_the_block_is_raised_and_that_of_the_work_is_not_reported() -> None:
    reported: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(
        lambda _loop, context: reported.append(context)
    )

    async def work() -> None:
        message = "of the work"
        raise ValueError(message)

    message = "of the block"
    with pytest.raises(KeyError, match="of the block"):
        async with _meanwhile(work()):
            raise KeyError(message)
    gc.collect()
    await asyncio.sleep(0)
    assert not reported

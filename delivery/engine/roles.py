"""Background roles of a process: named tasks that restart after an error."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING, Final, Self

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from types import TracebackType

__all__ = ["RoleGroup"]

logger = logging.getLogger(__name__)

_FIRST_PAUSE: Final = 0.5
_MAX_PAUSE: Final = 30.0
_STABLE_AFTER: Final = 60.0
"""Seconds of running after which an error counts as the first one again."""
_END: Final = 5.0
"""Seconds that cancelled roles have to end."""


class RoleGroup:
    """Roles that run while the block lasts, each in a task with its name.

    A role handles the errors that it expects. Any other error is logged when it happens, and the
    role starts again after a pause that doubles from error to error. An error of one role never
    stops the others. Unlike `asyncio.TaskGroup`, the group ends in a bounded time: a task that does
    not end after its cancellation is reported and abandoned.
    """

    def __init__(self) -> None:
        self._tasks: dict[str, asyncio.Task[None]] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.end()

    def start(self, name: str, role: Callable[[], Awaitable[None]]) -> asyncio.Task[None]:
        """Start a role. Its task ends when the role returns or is ended."""
        task = asyncio.create_task(_run(name, role), name=f"delivery: {name}")
        self._tasks[name] = task
        return task

    def task(self, name: str) -> asyncio.Task[None]:
        """Return the task of a role."""
        return self._tasks[name]

    async def end(self, *names: str) -> None:
        """Cancel these roles, or all of them, and wait until they have ended."""
        tasks = [self._tasks.pop(name) for name in names or tuple(self._tasks)]
        if not tasks:
            return
        for task in tasks:
            task.cancel()
        _, late = await asyncio.wait(tasks, timeout=_END)
        for task in late:
            logger.critical("%s does not end after its cancellation: %r", task.get_name(), task)


async def _run(name: str, role: Callable[[], Awaitable[None]]) -> None:
    pause = _FIRST_PAUSE
    while True:
        began = time.monotonic()
        try:
            await role()
        except Exception:
            if time.monotonic() - began >= _STABLE_AFTER:
                pause = _FIRST_PAUSE
            logger.exception("%s failed and starts again in %.1f s", name, pause)
            await asyncio.sleep(pause)
            pause = min(pause * 2, _MAX_PAUSE)
        else:
            return

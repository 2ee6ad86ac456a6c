"""Keeps several worker processes running: starts them, replaces those that die, stops all together.

A process that dies is replaced at once, one that dies again and again at growing pauses. Each child
holds the reading end of a pipe whose other end only the supervisor has: should the supervisor be
killed, the children read the end of it and stop by themselves.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["Supervisor", "describe_exit", "next_pause"]

logger = logging.getLogger(__name__)

_FIRST_PAUSE: Final = 0.1
_LONGEST_PAUSE: Final = 5.0
_TAKEN_WITHIN: Final = 0.2
"""Seconds in which a process takes a signal."""

_LIVED_WELL: Final = 30.0
"""Seconds after which a death counts as the first one again."""


def next_pause(pause: float | None, lived: float) -> float:
    """Seconds to wait before replacing a process.

    Args:
        pause: The wait before the process that died now; None: it was the first.
        lived: Seconds for which it ran.
    """
    if pause is None or lived >= _LIVED_WELL:
        return 0.0
    return min(max(pause * 2, _FIRST_PAUSE), _LONGEST_PAUSE)


def describe_exit(code: int) -> str:
    """How a process ended, in words: `exit status 3`, `SIGKILL`."""
    if code >= 0:
        return f"exit status {code}"
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"signal {-code}"


class Supervisor:
    """Runs `count` processes of one command.

    Args:
        command: Program and arguments.
        environment: Environment variables; a plain dict, as uvloop takes no other mapping.
        greeting: Written to each process's standard input, which then stays open.
        count: How many processes.
        grace: Seconds that processes told to stop are given before they are killed.
        at_once: The same in seconds once they were told twice.
        hopeless: Exit statuses of a process that need not be tried again, whatever the time.
        on_started: Called with the id of each process, and of the one that it replaces, if any.
            An error that it raises stops all of them.
    """

    def __init__(
        self,
        command: Sequence[str],
        environment: dict[str, str],
        greeting: bytes,
        count: int,
        *,
        grace: float,
        at_once: float = 5.0,
        hopeless: frozenset[int],
        on_started: Callable[[int, int | None], None],
    ) -> None:
        self._command = command
        self._environment = environment
        self._greeting = greeting
        self._count = count
        self._grace = grace
        self._at_once = at_once
        self._hopeless = hopeless
        self._on_started = on_started
        self._running: set[asyncio.subprocess.Process] = set()
        self._stopping = asyncio.Event()
        self._status = 0

    async def run(self) -> int:
        """Keep the processes running until `stop`, and wait for their end.

        Returns the exit status: 0 if all ended as they should; what a process gave that failed, or
        1 if it was ended by a signal.

        Raises:
            Exception: what `on_started` raised, once the processes have ended.
        """
        keepers = [asyncio.create_task(self._keep()) for _ in range(self._count)]
        asked = asyncio.create_task(self._stopping.wait())
        try:
            await asyncio.wait([asked, *keepers], return_when=asyncio.FIRST_COMPLETED)
            if not self._stopping.is_set():
                # A keeper failed. What it raised is raised below, when the processes have ended.
                self.stop()
            _, late = await asyncio.wait(keepers, timeout=self._grace)
            if late:
                logger.error("worker processes did not end within %.0f s; killed", self._grace)
                self._status = self._status or 1
            self._signal_all(signal.SIGKILL)
            await asyncio.gather(*keepers)
        except BaseException:
            self._signal_all(signal.SIGKILL)
            for task in (asked, *keepers):
                task.cancel()
            await asyncio.wait([asked, *keepers])
            raise
        return self._status

    def stop(self) -> None:
        """Tell all processes to stop; a second time they stop at once, or else are killed."""
        if self._stopping.is_set():
            loop = asyncio.get_running_loop()
            loop.call_later(self._at_once, self._signal_all, signal.SIGKILL)
            # Of equal signals that a process has not taken yet it gets one, so one more is sent.
            loop.call_later(_TAKEN_WITHIN, self._signal_all, signal.SIGTERM)
        self._stopping.set()
        self._signal_all(signal.SIGTERM)

    async def _keep(self) -> None:
        """Keep one process running."""
        pause: float | None = None
        replaced: int | None = None
        while not self._stopping.is_set():
            began = time.monotonic()
            try:
                process = await self._start()
            except OSError as error:
                # No room for another process, or not enough memory or files: that may pass.
                pause = next_pause(pause, 0.0)
                logger.warning(
                    "a worker process cannot be started (%s); trying again%s", error, _after(pause)
                )
                await self._sleep(pause)
                continue
            code = await self._watch(process, replaced)
            if self._stopping.is_set():
                self._ended_in_the_stop(process.pid, code)
                return
            if code in self._hopeless:
                # It has said why, and would say so again.
                self._status = code
                self.stop()
                return
            pause = next_pause(pause, time.monotonic() - began)
            logger.warning(
                "worker process %d ended with %s; starting another%s",
                process.pid,
                describe_exit(code),
                _after(pause),
            )
            replaced = process.pid
            await self._sleep(pause)

    async def _start(self) -> asyncio.subprocess.Process:
        # In a session of its own: Ctrl-C in a terminal goes to all of a process group, and the
        # children would take it and the supervisor's signal for two.
        process = await asyncio.create_subprocess_exec(
            *self._command,
            env=self._environment,
            stdin=asyncio.subprocess.PIPE,
            start_new_session=True,
        )
        self._running.add(process)
        return process

    async def _watch(self, process: asyncio.subprocess.Process, replaced: int | None) -> int:
        """Greet a process, tell of it and wait for its end; how it ended."""
        assert process.stdin is not None
        if self._stopping.is_set():
            _signal(process, signal.SIGTERM)
        try:
            process.stdin.write(self._greeting)
            self._on_started(process.pid, replaced)
        except Exception:
            # As when nobody reads the output any more: all end, and `run` says why.
            if not self._stopping.is_set():
                self.stop()
            raise
        finally:
            code = await process.wait()
            self._running.discard(process)
            process.stdin.close()
        return code

    def _ended_in_the_stop(self, pid: int, code: int) -> None:
        # One that was told to stop before it could listen has ended by the signal itself.
        if code in {0, -signal.SIGTERM}:
            return
        logger.error("worker process %d ended with %s", pid, describe_exit(code))
        # The number of a signal would be taken for an exit status that means something else.
        self._status = self._status or max(code, 1)

    async def _sleep(self, seconds: float) -> None:
        """For so long, or until told to stop."""
        try:
            async with asyncio.timeout(seconds):
                await self._stopping.wait()
        except TimeoutError:
            pass

    def _signal_all(self, number: signal.Signals) -> None:
        for process in self._running:
            _signal(process, number)


def _after(pause: float) -> str:
    return f" in {pause:.1f} s" if pause else ""


def _signal(process: asyncio.subprocess.Process, number: signal.Signals) -> None:
    try:
        process.send_signal(number)
    except ProcessLookupError:
        # It has ended in this moment.
        return

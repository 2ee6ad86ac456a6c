"""Supervisor of worker processes: starts them, replaces dead ones, stops all together.

A dead process is replaced immediately, and with growing pauses if it dies repeatedly. Each child
reads from a pipe of the supervisor: if the supervisor is killed, the children read the end of the
pipe and stop.
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
"""Seconds for a process to handle a signal."""

_LIVED_WELL: Final = 30.0
"""Lifetime in seconds after which a death counts as the first one."""


def next_pause(pause: float | None, lived: float) -> float:
    """Return the seconds to wait before replacing a process.

    Args:
        pause: Wait before the start of the dead process; None for the first process.
        lived: Lifetime of the dead process in seconds.
    """
    if pause is None or lived >= _LIVED_WELL:
        return 0.0
    return min(max(pause * 2, _FIRST_PAUSE), _LONGEST_PAUSE)


def describe_exit(code: int) -> str:
    """Describe the end of a process: `exit status 3`, `SIGKILL`."""
    if code >= 0:
        return f"exit status {code}"
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"signal {-code}"


class Supervisor:
    """Supervisor of `count` processes of one command.

    Args:
        command: Program and arguments.
        environment: Environment variables; a plain dict, as uvloop takes no other mapping.
        greeting: Text for the standard input of each process, which then stays open.
        count: Number of processes.
        grace: Seconds between the request to stop and SIGKILL.
        at_once: Seconds between the second request to stop and SIGKILL.
        hopeless: Exit statuses after which a process is not replaced.
        on_started: Called with the id of each new process, and the id of the one it replaces. An
            exception stops all processes.
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
        """Run the processes until `stop`, and wait for their end.

        Returns:
            The exit status: 0 if all processes succeeded, the status of a failed process, or 1
            after a signal.

        Raises:
            Exception: The exception of `on_started`, once the processes have ended.
        """
        keepers = [asyncio.create_task(self._keep()) for _ in range(self._count)]
        asked = asyncio.create_task(self._stopping.wait())
        try:
            await asyncio.wait([asked, *keepers], return_when=asyncio.FIRST_COMPLETED)
            if not self._stopping.is_set():
                # A task failed. Its exception is raised below, after the end of the processes.
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
        """Stop all processes gracefully; immediately on the second call."""
        if self._stopping.is_set():
            loop = asyncio.get_running_loop()
            loop.call_later(self._at_once, self._signal_all, signal.SIGKILL)
            # Pending equal signals are merged into one, so another one is sent.
            loop.call_later(_TAKEN_WITHIN, self._signal_all, signal.SIGTERM)
        self._stopping.set()
        self._signal_all(signal.SIGTERM)

    async def _keep(self) -> None:
        """Run one process, and replace it when it dies."""
        pause: float | None = None
        replaced: int | None = None
        while not self._stopping.is_set():
            began = time.monotonic()
            try:
                process = await self._start()
            except OSError as error:
                # A shortage of processes, memory or files can be temporary.
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
                # The process has logged the reason; a replacement would fail likewise.
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
        # A separate session: Ctrl-C in a terminal reaches the whole process group, and the
        # children would count it and the signal of the supervisor as two.
        process = await asyncio.create_subprocess_exec(
            *self._command,
            env=self._environment,
            stdin=asyncio.subprocess.PIPE,
            start_new_session=True,
        )
        self._running.add(process)
        return process

    async def _watch(self, process: asyncio.subprocess.Process, replaced: int | None) -> int:
        """Send the greeting to a process, report it, wait for its end and return the result."""
        assert process.stdin is not None
        if self._stopping.is_set():
            _signal(process, signal.SIGTERM)
        try:
            process.stdin.write(self._greeting)
            self._on_started(process.pid, replaced)
        except Exception:
            # For example a closed output: all processes end, and `run` raises the exception.
            if not self._stopping.is_set():
                self.stop()
            raise
        finally:
            code = await process.wait()
            self._running.discard(process)
            process.stdin.close()
        return code

    def _ended_in_the_stop(self, pid: int, code: int) -> None:
        # A process that was not ready for the signal was ended by it.
        if code in {0, -signal.SIGTERM}:
            return
        logger.error("worker process %d ended with %s", pid, describe_exit(code))
        # The number of a signal would be mistaken for another exit status.
        self._status = self._status or max(code, 1)

    async def _sleep(self, seconds: float) -> None:
        """Wait for a time, or until the stop."""
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
        # The process has just ended.
        return

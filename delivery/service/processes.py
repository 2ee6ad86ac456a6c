"""Delivery with several worker processes, to use more than one core.

Run as a program, this module is one worker. It reads its settings as JSON from the first line of
standard input, and delivers until SIGTERM or the end of standard input.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from delivery.errors import DeliveryError, InvalidInput
from delivery.observe.logs import configure_logging
from delivery.service.opening import connect
from delivery.service.process_tuning import allow_open_files, loop_factory
from delivery.service.stopping import when_told_to_stop
from delivery.service.supervisor import Supervisor
from delivery.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["run_processes"]

logger = logging.getLogger("delivery.service.processes")
"""Logger with a fixed name, because the module name of a program is `__main__`."""

_BEYOND_SHUTDOWN: Final = 10.0
"""Seconds for a process to exit after the end of its calls."""


async def run_processes(
    settings: Settings, count: int, on_started: Callable[[int, int | None], None]
) -> int:
    """Deliver with `count` processes until SIGTERM or SIGINT. A second signal stops immediately.

    The schema of the database must be up to date.

    Args:
        settings: Settings of every process; `database.url` must be set.
        count: Number of processes.
        on_started: Called with the id of each new process, and the id of the one it replaces.

    Returns:
        The exit status.
    """
    supervisor = Supervisor(
        # Without -P, a file of the working directory such as queue.py shadows the standard library.
        (sys.executable, "-P", "-m", "delivery.service.processes"),
        {**os.environ, "PYTHONPATH": _search_path()},
        _dumped(settings) + b"\n",
        count,
        grace=settings.worker.shutdown_timeout + _BEYOND_SHUTDOWN,
        hopeless=frozenset({InvalidInput.exit_code}),
        on_started=on_started,
    )
    with when_told_to_stop(supervisor.stop):
        return await supervisor.run()


def _dumped(settings: Settings) -> bytes:
    """Serialize the settings for another process, including the secret values."""
    dumped = settings.model_dump(mode="json")
    dumped["secrets"]["keys"] = settings.secrets.texts()
    return json.dumps(dumped).encode()


def _search_path() -> str:
    """Return the module search path of this program, for the processes that it starts."""
    return os.pathsep.join(path or str(Path.cwd()) for path in sys.path)


async def _deliver(settings: Settings) -> None:
    loop = asyncio.get_running_loop()

    def at_end_of_input() -> None:
        if not os.read(sys.stdin.fileno(), 4_096):
            loop.remove_reader(sys.stdin.fileno())
            logger.warning("the supervising process is gone: stopping")
            signal.raise_signal(signal.SIGTERM)

    async with connect(settings=settings, migrate=False) as engine:
        loop.add_reader(sys.stdin.fileno(), at_end_of_input)
        await engine.run()


def _main() -> int:
    given: dict[str, Any] = json.loads(sys.stdin.buffer.readline())
    settings = Settings(**given)
    configure_logging(settings, verbose=True)
    allow_open_files()
    # Ignore Ctrl-C of the terminal; the supervisor handles it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with asyncio.Runner(loop_factory=loop_factory()) as runner:
            runner.run(_deliver(settings))
    except DeliveryError as error:
        logger.error("%s", error)  # noqa: TRY400 - a message for operators
        return error.exit_code
    except Exception as error:
        if settings.log.level == "debug":
            logger.exception("a worker process failed")
        else:
            logger.error("%s: %s (--debug shows where)", type(error).__name__, error)  # noqa: TRY400
        return DeliveryError.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(_main())

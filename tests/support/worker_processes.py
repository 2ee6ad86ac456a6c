"""Separate worker processes, which tests may kill.

As a program, this module delivers until SIGTERM with the settings of the environment.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import delivery

if TYPE_CHECKING:
    from types import TracebackType

__all__ = ["WorkerProcess"]

_READY = "ready"


class WorkerProcess:
    """One worker process.

    Args:
        url: URL of the database.
        prefix: Program and arguments that run the worker's command, such as `env`.
        settings: Environment variables without `DELIVERY_`.
    """

    def __init__(self, url: str, *prefix: str, **settings: Any) -> None:
        environment = {
            **os.environ,
            "DELIVERY_DATABASE_URL": url,
            "DELIVERY_HTTP_ALLOWED_NETWORKS": '["127.0.0.0/8"]',
            "DELIVERY_PARTITIONS_DAYS_AHEAD": "1",
            "DELIVERY_DATABASE_CONNECT_TIMEOUT": "30",
            "DELIVERY_HTTP_TIMEOUT": "60",
            "DELIVERY_HTTP_CONNECT_TIMEOUT": "60",
            **{f"DELIVERY_{name}": str(value) for name, value in settings.items()},
        }
        self._process = subprocess.Popen(
            [*prefix, sys.executable, "-m", "tests.support.worker_processes"],
            env=environment,
            cwd=Path(__file__).parents[2],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    async def ready(self) -> Self:
        """Wait until the worker is ready."""
        assert self._process.stdout is not None
        line = await asyncio.to_thread(self._process.stdout.readline)
        assert line.strip() == _READY, f"the worker ended with {self._process.wait()}"
        return self

    def kill(self) -> None:
        """Kill the process, as a power failure would."""
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()
        self._close()

    async def terminate(self) -> int:
        """Stop the worker and return its exit code."""
        self._process.send_signal(signal.SIGTERM)
        code = await asyncio.to_thread(self._process.wait)
        self._close()
        return code

    def suspend(self) -> None:
        """Suspend the process."""
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Resume the suspended process."""
        self._process.send_signal(signal.SIGCONT)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._process.poll() is None:
            self.kill()

    def _close(self) -> None:
        assert self._process.stdout is not None
        self._process.stdout.close()


async def _work() -> None:
    async with delivery.connect() as engine:
        print(_READY, flush=True)  # noqa: T201 - read by the test
        await engine.run()


if __name__ == "__main__":
    asyncio.run(_work())

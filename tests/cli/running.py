"""Runs `delivery`: as a process, to its end or during the test; or, faster, in this process."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from contextlib import asynccontextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from delivery.cli.app import invoke

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

__all__ = ["LOOPBACK", "Finished", "Program", "call", "run", "running"]

LOOPBACK: Final = ("--set", "http.allowed_networks=127.0.0.0/8")
"""Options that allow requests to loopback."""
_TIMEOUT: Final = 60.0


@dataclass(frozen=True, slots=True)
class Finished:
    """A command that has ended."""

    code: int
    out: str
    err: str

    @property
    def object(self) -> Any:
        """The one JSON object it printed."""
        assert self.code in {0, 1}, self.err
        return json.loads(self.out)

    @property
    def objects(self) -> list[Any]:
        """The JSON objects it printed, one a line."""
        return [json.loads(line) for line in self.out.splitlines()]


async def _start(arguments: tuple[str, ...], environment: Mapping[str, str]) -> Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "delivery",
        *arguments,
        stdin=PIPE,
        stdout=PIPE,
        stderr=PIPE,
        env={**os.environ, "NO_COLOR": "1", **environment},
        limit=1 << 24,
    )


async def run(
    *arguments: str, stdin: bytes = b"", environment: Mapping[str, str] | None = None
) -> Finished:
    """Run a command to its end. No command prints a traceback, except with --debug."""
    process = await _start(arguments, environment or {})
    async with asyncio.timeout(_TIMEOUT):
        out, err = await process.communicate(stdin)
    assert process.returncode is not None
    assert b"Traceback" not in err or "--debug" in arguments, err.decode()
    return Finished(process.returncode, out.decode(), err.decode())


async def call(*arguments: str, stdin: bytes = b"") -> Finished:
    """Run a command to its end in this process, which saves a second."""
    out, err = io.StringIO(), io.StringIO()
    root = logging.getLogger()
    handlers, level, given = root.handlers[:], root.level, sys.stdin
    sys.stdin = io.TextIOWrapper(io.BytesIO(stdin))
    try:
        with redirect_stdout(out), redirect_stderr(err):
            code = await invoke(arguments)
    finally:
        sys.stdin = given
        root.handlers[:] = handlers
        root.setLevel(level)
    return Finished(code, out.getvalue(), err.getvalue())


class Program:
    """A command that runs during the test."""

    def __init__(self, process: Process) -> None:
        self._process = process

    async def line(self) -> str:
        """Read its next line."""
        assert self._process.stdout is not None
        async with asyncio.timeout(_TIMEOUT):
            line = await self._process.stdout.readline()
        assert line, "the program ended"
        return line.decode().rstrip("\n")

    async def note(self) -> str:
        """Read its next line on standard error."""
        assert self._process.stderr is not None
        async with asyncio.timeout(_TIMEOUT):
            return (await self._process.stderr.readline()).decode().rstrip("\n")

    async def noted(self, text: str) -> None:
        """Read lines of standard error until one contains the text."""
        while text not in (line := await self.note()):
            assert line, f"the program ended before it said: {text}"

    async def object(self) -> Any:
        """Read the JSON object on its next line."""
        return json.loads(await self.line())

    async def stop(self, number: int = signal.SIGTERM) -> Finished:
        """Send a signal and wait for the end."""
        self._process.send_signal(number)
        return await self.ended()

    async def ended(self) -> Finished:
        """Wait for the end, and return the output after the last line read."""
        async with asyncio.timeout(_TIMEOUT):
            out, err = await self._process.communicate()
        assert self._process.returncode is not None
        assert b"Traceback" not in err, err.decode()
        return Finished(self._process.returncode, out.decode(), err.decode())


@asynccontextmanager
async def running(*arguments: str) -> AsyncIterator[Program]:
    """Run a command during the block; kill it at the end if it still runs."""
    process = await _start(arguments, {})
    try:
        yield Program(process)
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()

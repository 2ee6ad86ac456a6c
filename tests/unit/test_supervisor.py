"""Processes are replaced immediately, and after growing pauses if they fail repeatedly."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import psutil
import pytest

from delivery.service.supervisor import Supervisor, describe_exit, next_pause

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

pytestmark = pytest.mark.anyio


def test_the_first_exit_of_a_process_causes_an_immediate_replacement() -> None:
    assert next_pause(None, 0.0) == 0.0


def test_pauses_grow_to_five_seconds_while_processes_exit_early() -> None:
    pauses = []
    pause: float | None = None
    for _ in range(12):
        pause = next_pause(pause, 0.5)
        pauses.append(pause)
    assert pauses[:5] == [0.0, 0.1, 0.2, 0.4, 0.8]
    assert pauses[-1] == 5.0


def test_a_long_lived_process_is_replaced_immediately_again() -> None:
    assert next_pause(5.0, 60.0) == 0.0


def test_an_exit_is_described_in_words() -> None:
    assert describe_exit(3) == "exit status 3"
    assert describe_exit(-signal.SIGKILL) == "SIGKILL"
    assert describe_exit(-250) == "signal 250"


def python(program: str) -> tuple[str, ...]:
    return (sys.executable, "-I", "-c", program)


def ignore_start(_pid: int, _replaced: int | None) -> None:
    """Ignore a start."""


@asynccontextmanager
async def running(
    command: tuple[str, ...],
    *,
    grace: float = 20,
    at_once: float = 20,
    on_started: Callable[[int, int | None], None] = ignore_start,
) -> AsyncIterator[tuple[Supervisor, asyncio.Task[int]]]:
    """Run a supervisor of one process; yield it and its task."""
    supervisor = Supervisor(
        command,
        dict(os.environ),
        b"go\n",
        1,
        grace=grace,
        at_once=at_once,
        hopeless=frozenset({2}),
        on_started=on_started,
    )
    run = asyncio.create_task(supervisor.run())
    try:
        async with asyncio.timeout(60):
            yield supervisor, run
    finally:
        run.cancel()
        await asyncio.wait([run])


async def until_exists(path: Path) -> None:
    while not path.exists():
        await asyncio.sleep(0.01)


async def test_a_process_with_a_permanent_error_ends_all_processes() -> None:
    program = python("import sys; sys.exit(2 if 'go' in sys.stdin.readline() else 0)")
    async with running(program) as (_, run):
        assert await run == 2


async def test_a_process_that_fails_is_replaced_until_it_works(tmp_path: Path) -> None:
    tries = tmp_path / "tries"
    program = (
        "import signal, sys, time\n"
        f"with open({str(tries)!r}, 'a+') as file:\n"
        "    file.seek(0)\n"
        "    if len(file.read()) < 2:\n"
        "        file.write('x')\n"
        "        sys.exit(3)\n"
        f"open({str(tmp_path / 'works')!r}, 'w').close()\n"
        "time.sleep(600)"
    )
    started: list[tuple[int, int | None]] = []
    async with running(
        python(program), on_started=lambda pid, replaced: started.append((pid, replaced))
    ) as (supervisor, run):
        await until_exists(tmp_path / "works")
        supervisor.stop()
        assert await run == 0
    assert [replaced for _, replaced in started] == [None, started[0][0], started[1][0]]


async def test_a_failed_start_of_a_process_is_retried(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    program = tmp_path / "program"
    async with running((str(program),)) as (supervisor, run):
        while "cannot be started" not in caplog.text:
            await asyncio.sleep(0.01)
        # Renamed when it is complete: a program that is open for writing cannot run.
        (tmp_path / "new").write_text(f"#!/bin/sh\n: > {tmp_path}/works\nread go\nread end\n")
        (tmp_path / "new").chmod(0o700)
        (tmp_path / "new").rename(program)
        await until_exists(tmp_path / "works")
        supervisor.stop()
        assert await run == 0


async def test_an_error_of_the_start_callback_ends_the_processes_and_is_raised() -> None:
    def fail(pid: int, _replaced: int | None) -> None:
        pids.append(pid)
        raise BrokenPipeError

    pids: list[int] = []
    async with running(python("import time; time.sleep(600)"), on_started=fail) as (_, run):
        with pytest.raises(BrokenPipeError):
            await run
    assert len(pids) == 1
    assert not psutil.pid_exists(pids[0])


async def test_an_unexpected_error_is_raised() -> None:
    async with running(("cannot be encoded: \ud800",)) as (_, run):
        with pytest.raises(UnicodeEncodeError):
            await run


async def test_processes_that_do_not_stop_are_killed_and_set_the_exit_status(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    program = (
        "import signal, time\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        f"open({str(tmp_path / 'ready')!r}, 'w').close()\n"
        "time.sleep(600)"
    )
    async with running(python(program), grace=0.2) as (supervisor, run):
        await until_exists(tmp_path / "ready")
        supervisor.stop()
        assert await run == 1
    assert "did not end within" in caplog.text
    assert "ended with SIGKILL" in caplog.text


@pytest.mark.parametrize(
    ("end", "status"),
    [("os._exit(7)", 7), ("os.kill(os.getpid(), signal.SIGKILL)", 1)],
    ids=["by itself", "by a signal"],
)
async def test_a_process_that_fails_to_stop_is_logged_and_sets_the_exit_status(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, end: str, status: int
) -> None:
    program = (
        "import os, signal, time\n"
        f"signal.signal(signal.SIGTERM, lambda *_: {end})\n"
        f"open({str(tmp_path / 'ready')!r}, 'w').close()\n"
        "time.sleep(600)"
    )
    async with running(python(program)) as (supervisor, run):
        await until_exists(tmp_path / "ready")
        supervisor.stop()
        assert await run == status
    assert "ended with" in caplog.text


async def test_a_second_stop_kills_a_frozen_process(tmp_path: Path) -> None:
    program = (
        "import signal, time\n"
        "signal.signal(signal.SIGTERM, lambda *_: None)\n"
        f"open({str(tmp_path / 'ready')!r}, 'w').close()\n"
        "time.sleep(600)"
    )
    pids: list[int] = []
    async with running(
        python(program), grace=60, at_once=0.1, on_started=lambda pid, _replaced: pids.append(pid)
    ) as (supervisor, run):
        await until_exists(tmp_path / "ready")
        psutil.Process(pids[0]).suspend()
        supervisor.stop()
        supervisor.stop()
        assert await run == 1

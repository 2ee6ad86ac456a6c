"""Processes are replaced at once, those that die again and again at growing pauses."""

from __future__ import annotations

import asyncio
import signal
import sys

import pytest

from delivery.engine.supervisor import Supervisor, describe_exit, next_pause


def test_a_process_that_dies_for_the_first_time_is_replaced_at_once() -> None:
    assert next_pause(None, 0.0) == 0.0


def test_pauses_grow_to_five_seconds_while_processes_die_young() -> None:
    pauses = []
    pause: float | None = None
    for _ in range(12):
        pause = next_pause(pause, 0.5)
        pauses.append(pause)
    assert pauses[:5] == [0.0, 0.1, 0.2, 0.4, 0.8]
    assert pauses[-1] == 5.0


def test_a_process_that_lived_well_is_replaced_at_once_again() -> None:
    assert next_pause(5.0, 60.0) == 0.0


def test_an_exit_is_told_in_words() -> None:
    assert describe_exit(3) == "exit status 3"
    assert describe_exit(-signal.SIGKILL) == "SIGKILL"
    assert describe_exit(-250) == "signal 250"


@pytest.mark.anyio
async def test_a_process_that_says_it_is_hopeless_ends_all_of_them() -> None:
    program = "import sys; sys.exit(2 if 'no' in sys.stdin.readline() else 0)"
    supervisor = Supervisor(
        (sys.executable, "-c", program),
        b"no\n",
        2,
        grace=10,
        hopeless=frozenset({2}),
        on_started=lambda _pid, _replaced: None,
    )
    async with asyncio.timeout(20):
        assert await supervisor.run() == 2


@pytest.mark.anyio
async def test_processes_that_will_not_end_are_killed_and_the_status_says_so() -> None:
    program = (
        "import signal, sys, time\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "open(sys.stdin.readline().strip(), 'w').close()\n"
        "time.sleep(600)"
    )
    started = asyncio.Event()
    supervisor = Supervisor(
        (sys.executable, "-c", program),
        b"/dev/null\n",
        1,
        grace=0.2,
        hopeless=frozenset(),
        on_started=lambda _pid, _replaced: started.set(),
    )
    running = asyncio.create_task(supervisor.run())
    await started.wait()
    supervisor.stop()
    async with asyncio.timeout(20):
        # Told to stop before it could refuse, it ends by the signal; both ends are ends.
        assert await running in {0, 1}

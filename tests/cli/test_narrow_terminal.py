"""Tables in a terminal of 80 columns: each row has a reason and a time."""

from __future__ import annotations

import asyncio
import fcntl
import os
import pty
import re
import socket
import struct
import subprocess
import sys
import termios
from contextlib import suppress

import pytest

from delivery.cli.layout import Column, cut, fit
from tests.support.engines import engine_on

pytestmark = pytest.mark.anyio

TIME = r"\d\d:\d\d:\d\d"


def run_in_terminal(columns: int, *arguments: str) -> list[str]:
    """Run a command in a terminal of this width, and return its lines."""
    ours, terminal = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    environment = {**os.environ, "TERM": "xterm", "NO_COLOR": "1"}
    environment.pop("COLUMNS", None)
    process = subprocess.Popen(
        [sys.executable, "-m", "delivery", *arguments],
        stdin=subprocess.DEVNULL,
        stdout=terminal,
        stderr=subprocess.PIPE,
        env=environment,
    )
    os.close(terminal)
    shown = b""
    with suppress(OSError):  # raised after the other side closes
        while read := os.read(ours, 65_536):
            shown += read
    os.close(ours)
    _, errors = process.communicate()
    assert process.returncode == 0, errors.decode()
    return shown.decode().replace("\r\n", "\n").splitlines()


async def test_a_failed_connection_has_its_reason_and_time(
    database_url: str,
) -> None:
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        port = reserved.getsockname()[1]
        async with engine_on(database_url) as engine:
            await engine.reactions.create(
                name="r", url=f"http://127.0.0.1:{port}/hooks", retry={"max_attempts": 1}
            )
            trigger = await engine.trigger("order.paid", {})
            async with engine.workers():
                (job,) = await engine.triggers.wait(trigger.id, timeout=60)
    assert job.failure_kind == "transport"
    options = ("--database-url", database_url)
    for command in (("logs", "list"), ("jobs", "list"), ("jobs", "show", str(job.id))):
        lines = await asyncio.to_thread(run_in_terminal, 80, *command, *options)
        row = lines[-1]
        assert max(map(len, lines)) <= 80 or command[1] == "show"
        assert len(row) <= 80
        assert re.search(rf"transport .*{TIME}.* Connection refu", row), row
    (_, row) = await asyncio.to_thread(run_in_terminal, 80, "logs", "list", *options)
    shown = row.split()[0].removeprefix("…")
    assert len(shown) == 12
    lines = await asyncio.to_thread(run_in_terminal, 80, "logs", "show", shown, *options)
    assert lines[0].endswith(shown)
    wide = await asyncio.to_thread(run_in_terminal, 200, "jobs", "list", *options)
    assert str(job.id) in wide[1]


def test_an_id_is_printed_whole_or_as_its_final_digits() -> None:
    columns = [Column("ID", tail=4), Column("TEXT", flexible=6)]
    rows = [["0123456789abcdef", "some words"]]
    assert fit(columns, rows, 28) == [(0, 16), (1, 10)]
    assert fit(columns, rows, 27) == [(0, 5), (1, 10)]
    assert fit(columns, rows, 13) == [(0, 5), (1, 6)]
    assert cut(rows[0][0], 5, right=False, keep_end=True) == "…cdef"


@pytest.mark.parametrize("columns", [40, 80, 120])
def test_the_help_of_a_command_fits_the_terminal(columns: int) -> None:
    for command in (("listen",), ("reactions",), ("reactions", "create"), ("trigger",)):
        lines = run_in_terminal(columns, *command, "--help")
        assert max(map(len, lines)) <= columns
        assert not any(line.endswith(" ") for line in lines)

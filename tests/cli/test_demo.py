"""`delivery demo`: repeated runs pass their checks, and the printed commands work."""

from __future__ import annotations

import shlex
import signal
import subprocess
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from delivery.cli.demo.command import command_lines, options_of
from delivery.cli.options import Common
from tests.cli.running import call, run, running

pytestmark = pytest.mark.anyio


async def test_all_checks_pass_and_the_printed_commands_work(database_url: str) -> None:
    shown: Any = (
        await run("demo", "--json", "--triggers", "30", "--database-url", database_url)
    ).object
    assert shown["ok"] is True
    assert shown["jobs"] == 180
    rows = {row["endpoint"]: row for row in shown["endpoints"]}
    assert rows["healthy"]["succeeded"] == rows["healthy"]["attempts"] == 30
    assert (rows["flaky"]["succeeded"], rows["flaky"]["retried"]) == (30, 60)
    assert (rows["failing"]["dead"], rows["failing"]["attempts"]) == (30, 90)
    assert rows["slow"]["p50_ms"] >= 100
    assert rows["gone"]["gone"] >= 1
    assert rows["gone"]["gone"] + rows["gone"]["skipped"] == 30
    for command in shown["commands"]:
        ended = await call(*arguments_of(command), "--json")
        assert ended.code == 0
        assert ended.out.strip()


async def test_printed_commands_keep_the_database_option(database_url: str) -> None:
    shown: Any = (
        await run("demo", "--json", "--triggers", "2", "--set", f"database.url={database_url}")
    ).object
    for command in shown["commands"]:
        ended = await call(*arguments_of(command), "--json")
        assert (ended.code, ended.err) == (0, "")
        assert ended.out.strip()


def test_commands_name_the_database_but_never_its_password() -> None:
    """Print a URL without a password unchanged."""
    common = Common(
        database_url="postgresql://me:hunter2@db/app",
        config=Path("my settings.toml"),
        set=(
            "database.url = postgresql://me:hunter2@db/app",
            "secrets.keys=hunter2",
            "http.timeout=5",
        ),
    )
    options = shlex.join(options_of("demo-1", common))
    assert "hunter2" not in options
    assert options.count("postgresql://me:***@db/app") == 2
    assert "--config 'my settings.toml'" in options
    assert "--set http.timeout=5" in options
    url = "postgresql://me@/app?host=%2Frun"
    assert url in options_of("demo-1", Common(database_url=url))


def test_a_command_too_long_for_the_terminal_takes_two_lines() -> None:
    """A shell reads both lines as one; pipes get one line."""
    command = f"delivery jobs show {UUID(int=0)} --tenant demo-1 --set http.timeout=5"
    assert command_lines(command, None) == command_lines(command, 100) == [command]
    lines = command_lines(command, 80)
    assert len(lines) == 2
    assert max(map(len, lines)) <= 78
    script = "\n".join(["printf '%s\\n' \\", *lines])
    words = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True)
    assert words.stdout.splitlines() == shlex.split(command)


async def test_keep_continues_delivery_until_a_signal(database_url: str) -> None:
    async with running(
        "demo", "--keep", "--triggers", "1", "--database-url", database_url
    ) as program:
        while not (line := await program.line()).startswith("Still running"):
            assert "✗" not in line
        command = (await program.line()).strip()
        ended = await call(*arguments_of(command), "--wait", "--json")
        trigger, *jobs = ended.objects
        assert len(trigger["jobs"]) == len(jobs)
        assert {job["status"] for job in jobs} == {"succeeded", "failed"}
        assert (await program.stop(signal.SIGINT)).code == 0


def arguments_of(command: str) -> list[str]:
    words = shlex.split(command)
    return words[words.index("delivery") + 1 :]


async def test_a_second_run_is_independent_of_the_first(database_url: str) -> None:
    for _ in range(2):
        ended = await call("demo", "--triggers", "5", "--database-url", database_url)
        assert ended.code == 0, ended.out
        assert ended.out.count("✓") == 5
        assert "✗" not in ended.out


async def test_it_needs_at_least_one_trigger() -> None:
    ended = await run("demo", "--triggers", "0")
    assert (ended.code, ended.err) == (2, "error: --triggers is 0; it must be at least 1\n")

"""Rules for every command: help, options, errors on one line, exit codes, pipes, signals."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from typing import TYPE_CHECKING

import pytest

from delivery.cli.app import build_app
from delivery.cli.overview import COMMANDS as OVERVIEW
from tests.cli.running import run, running

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cyclopts import App

pytestmark = pytest.mark.anyio

COMMANDS = (
    *("demo", "serve", "worker", "migrate", "doctor", "reactions", "trigger", "triggers"),
    *("jobs", "logs", "listen", "secrets", "config"),
)


def leaves(app: App) -> Iterator[App]:
    """Return every command that is not a group."""
    children = [app[name] for name in app if not name.startswith("-")]
    if not children:
        yield app
    for child in children:
        yield from leaves(child)


async def test_the_help_names_every_command_and_every_exit_code() -> None:
    shown = await run("--help")
    assert shown.code == 0
    for command in COMMANDS:
        assert f"\n  {command} " in shown.out
    for code in (0, 1, 2, 3, 4, 5, 6, 130, 141):
        assert f"{code}: " in shown.out


def test_the_overview_repeats_the_first_line_of_each_command() -> None:
    app = build_app()
    for command in OVERVIEW:
        assert app[command.name].help.partition("\n")[0] == command.summary


def test_every_command_takes_the_common_options() -> None:
    found = list(leaves(build_app()))
    assert len(found) > len(COMMANDS)
    for command in found:
        options = {
            name for argument in command.assemble_argument_collection() for name in argument.names
        }
        assert {"--json", "--database-url", "--config", "--set"} <= options, command.name


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("nonsense",), "there is no command 'nonsense'; there are demo, serve, worker,"),
        (("nonsense",), "listen, secrets, config; see `delivery --help`"),
        (("reactionz",), "there is no command 'reactionz'; did you mean reactions?"),
        (("jobs", "lst"), "did you mean list?; see `delivery jobs --help`"),
        (("--hepl",), "unknown option --hepl; did you mean --help?"),
        (("jobs", "--hepl"), "unknown option --hepl; did you mean --help?"),
        (("jobs", "list", "--hepl"), "unknown option --hepl; did you mean --help?"),
        (("-x",), "unknown option -x; see `delivery --help`"),
        (("--debug", "jobs", "list"), "--debug comes after the command"),
        (("jobs", "show"), "`delivery jobs show` needs JOB_ID"),
        (("jobs", "list", "--limt", "3"), "unknown option --limt; did you mean --limit?"),
        (("jobs", "list", "--limit"), "--limit needs a value"),
        (("jobs", "list", "--limit", "many"), "--limit is 'many', but must be a whole number"),
    ],
)
async def test_a_usage_error_is_one_line_and_exit_code_2(
    arguments: tuple[str, ...], text: str
) -> None:
    ended = await run(*arguments)
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.startswith("error: ")
    assert ended.err.count("\n") == 1
    assert text.lower() in ended.err.lower()


async def test_with_json_an_error_is_an_object_on_standard_error() -> None:
    ended = await run("jobs", "list", "--json", "--bogus")
    assert (ended.code, ended.out) == (2, "")
    error = json.loads(ended.err)["error"]
    assert error["code"] == "invalid_input"
    assert "--bogus" in error["message"]


async def test_a_closed_output_pipe_is_no_error(database_url: str) -> None:
    """As in `delivery config show | head -1`."""
    del database_url
    shell = await asyncio.create_subprocess_shell(
        f"{sys.executable} -m delivery config show | head -n 1; echo ${{PIPESTATUS[0]}}",
        executable="/bin/bash",
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await shell.communicate()
    first, code = out.decode().splitlines()
    assert first.split() == ["SETTING", "VALUE", "SET", "BY"]
    # The command may write everything before `head` exits.
    assert code in {"0", "141"}
    assert err == b""


async def test_a_program_may_be_started_without_standard_streams() -> None:
    """Some daemons start in this way."""
    command = f"{sys.executable} -m delivery config check"
    for closed in ("<&-", ">&-", "2>&-", "<&- >&- 2>&-"):
        shell = await asyncio.create_subprocess_shell(f"{command} {closed}")
        assert await shell.wait() == 0


async def test_an_interrupt_exits_with_130_without_output(database_url: str) -> None:
    async with running("logs", "follow", "--database-url", database_url) as following:
        assert "Ctrl-C" in await following.note()
        ended = await following.stop(signal.SIGINT)
    assert (ended.code, ended.out, ended.err) == (130, "", "")


async def test_version_prints_the_version() -> None:
    shown = await run("--version")
    assert shown.code == 0
    assert shown.out.strip()

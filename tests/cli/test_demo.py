"""`delivery demo` adds up, more than once, and what it says next can be done."""

from __future__ import annotations

import shlex
from typing import Any

import pytest

from tests.cli.running import call, run

pytestmark = pytest.mark.anyio


async def test_it_adds_up_and_its_commands_work(database_url: str) -> None:
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
        words = shlex.split(command)
        arguments = words[words.index("delivery") + 1 :]
        assert (await call(*arguments)).code == 0


async def test_a_second_run_is_not_disturbed_by_the_first(database_url: str) -> None:
    for _ in range(2):
        ended = await call("demo", "--triggers", "5", "--database-url", database_url)
        assert ended.code == 0, ended.out
        assert ended.out.count("✓") == 5
        assert "✗" not in ended.out


async def test_it_needs_at_least_one_trigger() -> None:
    ended = await run("demo", "--triggers", "0")
    assert (ended.code, ended.err) == (2, "error: --triggers is 0; it must be at least 1\n")

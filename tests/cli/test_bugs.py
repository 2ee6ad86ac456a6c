"""Unexpected errors: one line, and a traceback with --debug."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.cli.running import Finished, run

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.anyio

BROKEN_DRIVER = """
import asyncpg

def connect(*args, **options):
    return 1 / 0

asyncpg.connect = connect
"""
"""A database driver that raises an unexpected error."""


async def with_a_broken_driver(directory: Path, *arguments: str) -> Finished:
    """Run `delivery reactions list` in a process with a broken driver."""
    (directory / "sitecustomize.py").write_text(BROKEN_DRIVER)
    url = "postgresql://127.0.0.1/x"
    environment = {"PYTHONPATH": str(directory)}
    return await run(
        "reactions", "list", "--database-url", url, *arguments, environment=environment
    )


async def test_an_unexpected_error_is_reported_as_a_bug_on_one_line(tmp_path: Path) -> None:
    ended = await with_a_broken_driver(tmp_path)
    assert (ended.code, ended.out) == (1, "")
    assert ended.err.startswith("error: ZeroDivisionError: ")
    assert "this is a bug; --debug shows the traceback" in ended.err
    assert ended.err.count("\n") == 1


async def test_json_reports_a_bug_as_an_object(tmp_path: Path) -> None:
    ended = await with_a_broken_driver(tmp_path, "--json")
    assert json.loads(ended.err)["error"]["code"] == "internal_error"


async def test_debug_prints_the_traceback(tmp_path: Path) -> None:
    ended = await with_a_broken_driver(tmp_path, "--debug")
    assert ended.code == 1
    assert "Traceback (most recent call last)" in ended.err
    assert "this is a bug" in ended.err.splitlines()[-1]

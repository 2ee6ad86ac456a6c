"""An error that nobody foresaw is one line, and a traceback for those who ask for it."""

from __future__ import annotations

import json

import asyncpg
import pytest

import delivery
from tests.cli.running import call

pytestmark = pytest.mark.anyio


@pytest.fixture
async def damaged(database_url: str) -> str:
    """A database with a row that no engine could have written."""
    async with delivery.connect(database_url) as engine:
        await engine.reactions.create(name="r", url="https://example.org/")
    connection = await asyncpg.connect(database_url)
    await connection.execute("UPDATE delivery.reactions SET signing = '5'")
    await connection.close()
    return database_url


async def test_it_is_called_a_bug_on_one_line(damaged: str) -> None:
    ended = await call("reactions", "list", "--database-url", damaged)
    assert (ended.code, ended.out) == (1, "")
    assert ended.err.startswith("error: TypeError: ")
    assert "this is a bug; --debug shows where" in ended.err
    assert ended.err.count("\n") == 1


async def test_with_json_it_is_an_object(damaged: str) -> None:
    ended = await call("reactions", "list", "--json", "--database-url", damaged)
    assert json.loads(ended.err)["error"]["code"] == "internal_error"


async def test_debug_shows_where_it_happened(damaged: str) -> None:
    ended = await call("reactions", "list", "--debug", "--database-url", damaged)
    assert ended.code == 1
    assert "Traceback (most recent call last)" in ended.err
    assert "this is a bug" in ended.err.splitlines()[-1]

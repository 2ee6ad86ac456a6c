"""The SQL of docs/production.md, executed on a new schema."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path

import asyncpg
import pytest

import delivery

PAGE = (Path(__file__).parents[2] / "docs" / "production.md").read_text(encoding="utf-8")
STATEMENTS = [
    statement.strip()
    for block in re.findall(r"```sql\n(.*?)```", PAGE, re.DOTALL)
    for statement in re.sub(r"--.*", "", block).split(";")
    if statement.strip()
]

pytestmark = pytest.mark.anyio


async def test_the_documented_statements_run(database_url: str) -> None:
    assert len(STATEMENTS) == 5
    today = datetime.now(UTC).strftime("%Y%m%d")
    async with delivery.connect(database_url) as engine:
        await engine.trigger("order.paid", {})
        connection = await asyncpg.connect(database_url)
        try:
            for statement in STATEMENTS:
                await connection.execute(re.sub(r"_20\d{6}", f"_{today}", statement))
        finally:
            await connection.close()
        assert (await engine.triggers.list()).items == ()

"""The programs of `examples`, executed as a reader would."""

from __future__ import annotations

import asyncio
import os
import re
import sys
from asyncio.subprocess import PIPE
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

pytestmark = pytest.mark.anyio

EXPECTED = {
    "order_to_webhook.py": [
        r'new message \{"order":\d+,"item":"teapot","cents":1250\}',
        "job succeeded after 1 attempt",
        "log POST 200 succeeded",
    ],
}


def test_every_example_has_an_expected_output() -> None:
    assert {path.name for path in (ROOT / "examples").glob("*.py")} == set(EXPECTED)


@pytest.mark.parametrize("name", EXPECTED)
async def test_an_example_runs_twice_on_one_database(name: str, database_url: str) -> None:
    for _ in range(2):
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-W", "error", str(ROOT / "examples" / name)),
            stdout=PIPE,
            stderr=PIPE,
            env={
                **os.environ,
                "PYTHONPATH": str(ROOT),
                "DELIVERY_DATABASE_URL": database_url,
                "DELIVERY_SECRETS_KEYS": "",
            },
        )
        out, err = await process.communicate()
        assert process.returncode == 0, err.decode()
        lines = out.decode().splitlines()
        assert len(lines) == len(EXPECTED[name])
        for line, pattern in zip(lines, EXPECTED[name], strict=True):
            assert re.fullmatch(pattern, line)

"""What the README shows is what happens, and what it links to is there."""

from __future__ import annotations

import asyncio
import os
import re
import sys
from asyncio.subprocess import PIPE
from pathlib import Path

import pytest

from delivery.message.sealing import generate_key

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PROGRAM = re.compile(r"```python\n(.*?)```", re.DOTALL)
LINK = re.compile(r"\]\((?!https?:)([^)#]+)")

pytestmark = pytest.mark.anyio


async def test_the_library_example_runs_as_it_is_shown(database_url: str, tmp_path: Path) -> None:
    """On the database of this run instead of an embedded one, named by the environment."""
    (program,) = PROGRAM.findall(README)
    file = tmp_path / "example.py"
    file.write_text(program, encoding="utf-8")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-W", "error", str(file)),
        stdout=PIPE,
        stderr=PIPE,
        env={
            **os.environ,
            "DELIVERY_DATABASE_URL": database_url,
            # The embedded one has a key of its own.
            "DELIVERY_SECRETS_KEYS": generate_key(),
            "PYTHONPATH": str(ROOT),
        },
    )
    out, err = await process.communicate()
    assert (process.returncode, err.decode()) == (0, "")
    assert out.decode().splitlines() == [
        "succeeded after 1 attempt",
        "POST 200 succeeded",
        'received {"order":17,"total":"12.50"}',
    ]


@pytest.mark.parametrize(
    "page", ["README.md", "docs/quickstart.md", "docs/guarantees.md", "docs/signing.md"]
)
def test_links_lead_somewhere(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    missing = [link for link in LINK.findall(text) if not ((ROOT / page).parent / link).exists()]
    assert not missing

"""The program and the installation table of the README."""

from __future__ import annotations

import asyncio
import os
import re
import socket
import sys
import tomllib
from asyncio.subprocess import PIPE
from pathlib import Path

import pytest

import delivery
from delivery.message.storage.encryption import generate_key

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PROGRAM = re.compile(r"```python\n(.*?)```", re.DOTALL)

pytestmark = pytest.mark.anyio


OUTPUT = [
    "succeeded after 1 attempt",
    "POST 200 succeeded",
    'received {"order":17,"total":"12.50"}',
]
MOST_LINES = 15


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """First program of the README, in a file."""
    text = PROGRAM.findall(README)[0]
    file = tmp_path / "example.py"
    file.write_text(text, encoding="utf-8")
    return file


async def run(program: Path, **environment: str) -> list[str]:
    """Run the program and return the lines that it prints; it must not fail or warn."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-W", "error", str(program)),
        stdout=PIPE,
        stderr=PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
    )
    out, err = await process.communicate()
    assert (process.returncode, err.decode()) == (0, "")
    return out.decode().splitlines()


def test_the_output_of_the_program_is_documented() -> None:
    assert "".join(f"    {line}\n" for line in OUTPUT) in README


def test_the_program_is_short() -> None:
    lines = PROGRAM.findall(README)[0].partition("async def main")[2].splitlines()
    assert len([line for line in lines[1:] if line.strip()]) <= MOST_LINES


async def test_the_program_runs_twice_on_its_embedded_database(
    program: Path, short_directory: Path
) -> None:
    """The second run finds the rows of the first one."""
    directory = str(short_directory / "postgres")
    for _ in range(2):
        assert await run(program, DELIVERY_DATABASE_EMBEDDED_DIRECTORY=directory) == OUTPUT


async def test_the_program_ignores_the_rows_of_a_killed_run(
    program: Path, database_url: str
) -> None:
    """A killed run leaves its reaction without a receiver."""
    async with delivery.connect(database_url, http={"allowed_networks": ["127.0.0.0/8"]}) as engine:
        await engine.reactions.create(
            name="accounting",
            event_types=["order.*"],
            url=f"http://127.0.0.1:{free_port()}/orders",
        )
    key = generate_key()
    printed = await run(program, DELIVERY_DATABASE_URL=database_url, DELIVERY_SECRETS_KEYS=key)
    assert printed == OUTPUT


def free_port() -> int:
    """Return a port that no process listens on."""
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        port: int = reserved.getsockname()[1]
        return port


def test_the_readme_names_every_extra() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"][
        "optional-dependencies"
    ]
    assert "pip install 'delivery[" in README
    assert re.findall(r"^\| `(\w+)` \|", README, re.MULTILINE) == [
        *("cli", "embedded", "sqlalchemy", "all")
    ]
    assert set(extras) == {"cli", "embedded", "sqlalchemy", "all"}

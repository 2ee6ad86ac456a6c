"""What the README shows is what happens, and what it links to is there."""

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
LINK = re.compile(r"\]\((?!https?:)([^)#]+)")

pytestmark = pytest.mark.anyio


SHOWN = [
    "succeeded after 1 attempt",
    "POST 200 succeeded",
    'received {"order":17,"total":"12.50"}',
]


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """The program that the README shows, in a file."""
    (text,) = PROGRAM.findall(README)
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


async def test_the_library_example_runs_again_and_again_on_its_embedded_database(
    program: Path, short_directory: Path
) -> None:
    """The second run finds the rows of the first one."""
    directory = str(short_directory / "postgres")
    for _ in range(2):
        assert await run(program, DELIVERY_DATABASE_EMBEDDED_DIRECTORY=directory) == SHOWN


async def test_the_library_example_runs_beside_the_rows_of_a_killed_run(
    program: Path, database_url: str
) -> None:
    """A killed run leaves its reaction without a receiver."""
    async with delivery.connect(database_url, http={"allowed_networks": ["127.0.0.0/8"]}) as engine:
        await engine.reactions.create(
            name="tell accounting",
            event_types=["order.*"],
            url=f"http://127.0.0.1:{free_port()}/orders",
        )
    key = generate_key()
    shown = await run(program, DELIVERY_DATABASE_URL=database_url, DELIVERY_SECRETS_KEYS=key)
    assert shown == SHOWN


def free_port() -> int:
    """A port that nothing listens on."""
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        port: int = reserved.getsockname()[1]
        return port


def test_the_readme_says_how_to_install_and_names_every_extra() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"][
        "optional-dependencies"
    ]
    assert "pip install 'delivery[" in README
    assert re.findall(r"^\| `(\w+)` \|", README, re.MULTILINE) == [
        *("cli", "embedded", "sqlalchemy", "all")
    ]
    assert set(extras) == {"cli", "embedded", "sqlalchemy", "all"}


@pytest.mark.parametrize(
    "page", ["README.md", "docs/quickstart.md", "docs/guarantees.md", "docs/signing.md"]
)
def test_links_lead_somewhere(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    missing = [link for link in LINK.findall(text) if not ((ROOT / page).parent / link).exists()]
    assert not missing

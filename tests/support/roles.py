"""Database roles for tests."""

from __future__ import annotations

import secrets
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, urlsplit

import anyio
import asyncpg

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Role", "execute", "quoted", "roles"]

_PASSWORD: Final = "of-a-test"


@dataclass(frozen=True, slots=True)
class Role:
    """A role that may log in."""

    name: str
    url: str
    """URL of the test's database for this role."""


@contextmanager
def roles(url: str, *names: str) -> Iterator[list[Role]]:
    """Create roles without rights; drop them at the end with everything they own.

    Each name is a prefix of the role's name: roles belong to the server, not to the database.
    """
    made = [_role(url, f"{name}_{secrets.token_hex(4)}") for name in names]
    for role in made:
        execute(url, f"CREATE ROLE {quoted(role.name)} LOGIN PASSWORD '{_PASSWORD}'")
    try:
        yield made
    finally:
        for role in made:
            execute(url, f"DROP OWNED BY {quoted(role.name)} CASCADE")
            execute(url, f"DROP ROLE {quoted(role.name)}")


def quoted(name: str) -> str:
    """Return a name quoted for SQL."""
    doubled = name.replace('"', '""')
    return f'"{doubled}"'


def execute(url: str, *texts: str) -> None:
    """Run statements outside of an event loop, each in a separate transaction."""

    async def run() -> None:
        connection = await asyncpg.connect(url)
        try:
            for text in texts:
                await connection.execute(text)
        finally:
            await connection.close()

    anyio.run(run)


def _role(url: str, name: str) -> Role:
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    query = f"?{parts.query}" if parts.query else ""
    return Role(name, f"postgresql://{quote(name)}:{_PASSWORD}@{host}{parts.path}{query}")

"""A database of its own for every run, with the jobs to be delivered already in it."""

from __future__ import annotations

import json
import secrets
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit, urlunsplit

import delivery
from delivery import TriggerRequest
from delivery.store.connection import connect
from delivery.store.embedded import start_embedded

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

__all__ = ["REACTIONS", "SECRET", "enqueue", "fresh_database", "server"]

REACTIONS: Final = 100
SECRET: Final = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
_PAYLOAD: Final = json.dumps({"data": "x" * 1000}).encode()
_TRIGGERS_AT_ONCE: Final = 2_000


@asynccontextmanager
async def server(given: str | None) -> AsyncIterator[str]:
    """The PostgreSQL to measure on: the one given, or the embedded one."""
    if given is not None:
        yield given
        return
    embedded = await start_embedded(None)
    try:
        yield embedded.url
    finally:
        await embedded.close()


@asynccontextmanager
async def fresh_database(server_url: str) -> AsyncIterator[str]:
    """An empty database on the server, dropped at the end."""
    name = f"bench_{secrets.token_hex(4)}"
    admin = await connect(server_url, 10.0)
    try:
        await admin.execute(f"CREATE DATABASE {name}")
        parts = urlsplit(server_url)
        try:
            yield urlunsplit(parts._replace(path=f"/{name}"))
        finally:
            await admin.execute(f"DROP DATABASE {name} WITH (FORCE)")
    finally:
        await admin.close()


async def enqueue(database_url: str, receiver_url: str, jobs: int) -> None:
    """Make 100 reactions and `jobs` jobs of 1 KB, evenly over them, and flush them to disk."""
    async with delivery.connect(
        database_url, migrate=True, http={"allowed_networks": ["127.0.0.0/8"]}
    ) as engine:
        for number in range(REACTIONS):
            await engine.reactions.create(
                name=f"bench {number}",
                event_types=[f"bench.{number}"],
                url=f"{receiver_url}/{number}",
                secret=SECRET,
            )
        for start in range(0, jobs, _TRIGGERS_AT_ONCE):
            await engine.trigger_many(
                TriggerRequest(f"bench.{number % REACTIONS}", _PAYLOAD)
                for number in range(start, min(start + _TRIGGERS_AT_ONCE, jobs))
            )
    connection = await connect(database_url, 10.0)
    try:
        # The first change of a page after a checkpoint logs the whole page: alike for every run.
        await connection.execute("CHECKPOINT")
    finally:
        await connection.close()

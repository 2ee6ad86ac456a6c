"""A separate database for each run, already filled with the jobs to deliver."""

from __future__ import annotations

import asyncio
import json
import secrets
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit, urlunsplit

import delivery
from bench.run import BenchFailed
from delivery import TriggerRequest
from delivery.embedded.server import start_embedded
from delivery.store.driver.connection import connect

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from datetime import datetime

    from delivery import Engine

__all__ = [
    "PAYLOAD",
    "REACTIONS",
    "SECRET",
    "checkpoint",
    "count_logs",
    "enqueue",
    "fresh_database",
    "left",
    "opened",
    "server",
    "trigger_evenly",
    "until",
]

REACTIONS: Final = 100
SECRET: Final = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
PAYLOAD: Final = json.dumps({"data": "x" * 1000}).encode()
_TRIGGERS_AT_ONCE: Final = 5_000

_LEFT: Final = """
SELECT
    EXISTS (SELECT FROM delivery.waiting_jobs WHERE run_at <= now())
    OR EXISTS (SELECT FROM delivery.leases)
"""


@asynccontextmanager
async def server(given: str | None) -> AsyncIterator[str]:
    """Open the PostgreSQL to measure on: the given one, or the embedded one."""
    if given is not None:
        yield given
        return
    embedded = await start_embedded(None)
    try:
        yield embedded.url
    finally:
        await embedded.close()


@asynccontextmanager
async def fresh_database(server_url: str, template: str | None = None) -> AsyncIterator[str]:
    """Create a database, empty or a copy of the one at the URL `template`; drop it at the end."""
    name = f"bench_{secrets.token_hex(4)}"
    origin = "template0"
    if template is not None:
        # The default strategy writes the whole copy to the WAL.
        origin = f"{urlsplit(template).path[1:]} STRATEGY file_copy"
    admin = await connect(server_url, 10.0)
    try:
        await admin.execute(f"CREATE DATABASE {name} TEMPLATE {origin}")
        parts = urlsplit(server_url)
        try:
            # urlunsplit would drop the slashes before the empty host of a socket URL.
            query = f"?{parts.query}" if parts.query else ""
            yield urlunsplit(("", "", f"{parts.scheme}://{parts.netloc}/{name}", "", "")) + query
        finally:
            await admin.execute(f"DROP DATABASE {name} WITH (FORCE)")
    finally:
        await admin.close()


@asynccontextmanager
async def opened(database_url: str, **worker: Any) -> AsyncIterator[Engine]:
    """Open an engine that may call loopback, on an up-to-date schema."""
    async with delivery.connect(
        database_url, migrate=True, http={"allowed_networks": ["127.0.0.0/8"]}, worker=worker
    ) as engine:
        yield engine


async def enqueue(
    database_url: str,
    url_of: Callable[[int], str] | str,
    jobs: int,
    *,
    reactions: int = REACTIONS,
    group: str = "bench",
    run_at: datetime | None = None,
) -> None:
    """Create `jobs` jobs of 1 KB, spread evenly over `reactions` reactions.

    Missing reactions are created.
    """
    async with opened(database_url) as engine:
        tenant = group
        known = await engine._pool.fetchval(  # noqa: SLF001
            "SELECT count(*) FROM delivery.reactions WHERE tenant_id = $1", tenant
        )
        for first in range(known, reactions, 50):
            await asyncio.gather(
                *(
                    engine.reactions.create(
                        name=f"{group} {number}",
                        tenant_id=tenant,
                        event_types=[f"{group}.{number}"],
                        url=f"{url_of}/{number}" if isinstance(url_of, str) else url_of(number),
                        secret=SECRET,
                    )
                    for number in range(first, min(first + 50, reactions))
                )
            )
        await trigger_evenly(engine, jobs, reactions=reactions, group=group, run_at=run_at)


async def trigger_evenly(
    engine: Engine,
    jobs: int,
    *,
    reactions: int = REACTIONS,
    group: str = "bench",
    run_at: datetime | None = None,
) -> None:
    """Trigger each reaction that `enqueue` created, in turn."""
    for start in range(0, jobs, _TRIGGERS_AT_ONCE):
        await engine.trigger_many(
            (
                TriggerRequest(f"{group}.{number % reactions}", PAYLOAD, run_at=run_at)
                for number in range(start, min(start + _TRIGGERS_AT_ONCE, jobs))
            ),
            tenant_id=group,
        )


async def checkpoint(database_url: str) -> None:
    """Run a checkpoint, so that in every run the first change of a page logs the whole page."""
    connection = await connect(database_url, 10.0)
    try:
        await connection.execute("CHECKPOINT")
    finally:
        await connection.close()


async def until(condition: Callable[[], Any], *, timeout: float, pause: float = 0.02) -> None:
    """Wait until an asynchronous condition holds.

    Raises:
        BenchFailed: if the condition does not hold within `timeout` seconds.
    """
    try:
        async with asyncio.timeout(timeout):
            while not await condition():
                await asyncio.sleep(pause)
    except TimeoutError:
        message = f"the work was not done within {timeout:g} s"
        raise BenchFailed(message) from None


async def left(connection: Any) -> bool:
    """Return whether any job is due or under way."""
    found: bool = await connection.fetchval(_LEFT)
    return found


async def count_logs(connection: Any, outcome: str = "succeeded") -> int:
    """Return the number of log rows with an outcome."""
    count: int = await connection.fetchval(
        "SELECT count(*) FROM delivery.delivery_logs WHERE outcome = $1", outcome
    )
    return count

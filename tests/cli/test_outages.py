"""Outages: one line with advice, and the documented exit code."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

import anyio
import asyncpg
import pytest

from delivery.store.migrate import migrate
from tests.cli.running import LOOPBACK, call, running
from tests.support.conditions import until
from tests.support.engines import engine_on
from tests.support.proxies import Proxy

if TYPE_CHECKING:
    from tests.support.databases import DatabaseServer, PrivateServer

pytestmark = pytest.mark.anyio

JOB = "00000000-0000-7000-8000-000000000001"
COMMANDS = [
    ("jobs", "list"),
    ("jobs", "show", JOB),
    ("jobs", "wait", JOB),
    ("logs", "list"),
    ("logs", "show", JOB),
    ("logs", "follow"),
    ("reactions", "list"),
    ("trigger", "order.paid", "{}"),
    ("worker",),
    ("migrate", "--check"),
    ("migrate",),
    ("maintain",),
]


async def fails(url: str, code: str, *command: str, said: str = "") -> None:
    """Assert that a command fails with exit code 3 and this one-line error."""
    ended = await call(*command, "--database-url", url)
    assert ended.code == 3, (command, ended)
    (line,) = [line for line in ended.err.splitlines() if line.startswith("error: ")]
    assert "bug" not in line
    assert said in line
    ended = await call(*command, "--json", "--database-url", url)
    assert json.loads(ended.err.splitlines()[-1])["error"]["code"] == code, (command, ended)


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
async def test_an_unreachable_database(command: tuple[str, ...]) -> None:
    await fails(
        "postgresql:///x?host=/nowhere", "database_unavailable", *command, said="start PostgreSQL"
    )


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
async def test_an_unresponsive_database(database_url: str, command: tuple[str, ...]) -> None:
    async with Proxy(database_url) as proxy:
        proxy.swallow()
        quick = (*command, "--set", "database.connect_timeout=0.3")
        await fails(proxy.url, "database_unavailable", *quick, said="no response within 0.3 s")


async def test_a_database_that_does_not_exist(database_server: DatabaseServer) -> None:
    await fails(database_server.url_of("absent"), "login_refused", "jobs", "list", said="create it")


@pytest.fixture
async def damaged(database_url: str) -> str:
    """A database whose tables differ from its migration table."""
    connection = await asyncpg.connect(database_url)
    await connection.execute("ALTER TABLE delivery.reactions RENAME TO elsewhere")
    await connection.execute("ALTER TABLE delivery.jobs RENAME TO elsewhere_too")
    await connection.execute("ALTER VIEW delivery.jobs_with_lease RENAME TO elsewhere_as_well")
    await connection.close()
    return database_url


@pytest.mark.parametrize(
    "command",
    [("jobs", "list"), ("reactions", "list"), ("trigger", "order.paid", "{}")],
    ids=" ".join,
)
async def test_an_altered_schema(damaged: str, command: tuple[str, ...]) -> None:
    await fails(damaged, "schema_mismatch", *command, said="run `delivery migrate`")


async def test_a_read_only_database(database_server: DatabaseServer, database_url: str) -> None:
    name = database_url.partition("?")[0].rpartition("/")[2]
    admin = await asyncpg.connect(database_server.url)
    await admin.execute(f'ALTER DATABASE "{name}" SET default_transaction_read_only = on')
    await admin.close()
    await fails(database_url, "read_only_database", "trigger", "order.paid", "{}", said="primary")


async def test_a_role_without_rights(database_server: DatabaseServer, database_url: str) -> None:
    name = database_url.partition("?")[0].rpartition("/")[2]
    admin = await asyncpg.connect(database_server.url)
    await admin.execute(f'CREATE ROLE "{name}" LOGIN')
    try:
        url = database_url.replace("postgres@", f"{name}@")
        await fails(url, "missing_rights", "jobs", "list", said="grant")
        await fails(url, "missing_rights", "reactions", "list", said="grant")
    finally:
        await admin.execute(f'DROP ROLE "{name}"')
        await admin.close()


async def registered(url: str) -> bool:
    """Return True if a worker is running."""
    connection = await asyncpg.connect(url)
    try:
        return bool(await connection.fetchval("SELECT count(*) FROM delivery.workers"))
    finally:
        await connection.close()


async def test_follow_resumes_after_a_database_restart(private_server: PrivateServer) -> None:
    connection = await asyncpg.connect(private_server.url)
    await migrate(connection)
    await connection.close()
    address = ("--database-url", private_server.url)
    async with (
        running("logs", "follow", *address) as following,
        running("worker", *LOOPBACK, *address) as worker,
    ):
        await following.noted("Waiting for log rows")
        await worker.line()
        await until(lambda: registered(private_server.url))
        await anyio.to_thread.run_sync(private_server.kill)
        await following.noted("waiting for the database")
        await anyio.to_thread.run_sync(private_server.start)
        await following.noted("the database responds again")
        async with engine_on(private_server.url) as engine:
            job = await engine.jobs.create(url="http://127.0.0.1:9/r", retry={"max_attempts": 1})
            await engine.jobs.wait(job.id, timeout=60)
        async with asyncio.timeout(60):
            assert "http://127.0.0.1:9/r" in await following.line()

"""Every public verb reports a fault of the database with an error of this package."""

from __future__ import annotations

import asyncio
import inspect
from datetime import UTC, datetime
from importlib import import_module
from typing import TYPE_CHECKING, Any
from uuid import UUID

import anyio
import asyncpg
import pytest

from delivery import (
    DatabaseError,
    DatabaseUnavailable,
    Engine,
    JobStatus,
    NotFound,
    Outcome,
    SchemaMismatch,
    Trigger,
    TriggerRequest,
    UnusableConnection,
)
from delivery.errors import MissingRights, ReadOnlyDatabase, StatementTimeout
from delivery.message.storage.encryption import generate_key
from delivery.testing import Receiver, Respond
from tests.support.engines import engine_on, wait_for_all
from tests.support.proxies import Proxy

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from tests.support.databases import DatabaseServer, PrivateServer

pytestmark = pytest.mark.anyio

ID = UUID(int=1)
URL = "https://example.org/"
TRIGGER = Trigger(ID, "default", "x", b"1", datetime(2026, 1, 1, tzinfo=UTC), ())
KEYS: dict[str, Any] = {"secrets": {"keys": [generate_key()]}}


async def all_of(rows: AsyncIterator[Any]) -> list[Any]:
    """Read rows to their end."""
    return [row async for row in rows]


async def deliver(engine: Engine) -> None:
    """Open workers."""
    async with engine.workers():
        pass


VERBS: dict[str, Callable[[Engine], Awaitable[Any]]] = {
    "trigger": lambda engine: engine.trigger("x", 1),
    "trigger_many": lambda engine: engine.trigger_many([TriggerRequest("x", 1)] * 2),
    "workers": deliver,
    "reactions.create": lambda engine: engine.reactions.create(name="n", url=URL),
    "reactions.get": lambda engine: engine.reactions.get(ID),
    "reactions.list": lambda engine: engine.reactions.list(),
    "reactions.update": lambda engine: engine.reactions.update(ID, name="m"),
    "reactions.rotate_secret": lambda engine: engine.reactions.rotate_secret(ID),
    "reactions.enable": lambda engine: engine.reactions.enable(ID),
    "reactions.disable": lambda engine: engine.reactions.disable(ID),
    "reactions.reset": lambda engine: engine.reactions.reset(ID),
    "reactions.delete": lambda engine: engine.reactions.delete(ID),
    "reactions.preview": lambda engine: engine.reactions.preview(ID, {}),
    "reactions.test": lambda engine: engine.reactions.test(ID, {}),
    "triggers.create_many": lambda engine: engine.triggers.create_many(
        [TriggerRequest("x", 1)], tenant_id="default", connection=None
    ),
    "triggers.get": lambda engine: engine.triggers.get(ID),
    "triggers.list": lambda engine: engine.triggers.list(),
    "triggers.status": lambda engine: engine.triggers.status(ID),
    "triggers.statuses": lambda engine: engine.triggers.statuses([TRIGGER]),
    "ids.find": lambda engine: engine.ids.find("job", "0123"),
    "ids.reaction_names": lambda engine: engine.ids.reaction_names([ID]),
    "living_workers": lambda engine: engine.living_workers(),
    "jobs.create": lambda engine: engine.jobs.create(url=URL),
    "jobs.get": lambda engine: engine.jobs.get(ID),
    "jobs.list": lambda engine: engine.jobs.list(),
    "logs.get": lambda engine: engine.logs.get(ID),
    "logs.list": lambda engine: engine.logs.list(),
    "logs.iterate": lambda engine: all_of(engine.logs.iterate()),
    "secrets.check": lambda engine: engine.secrets.check(),
    "secrets.reencrypt": lambda engine: engine.secrets.reencrypt(),
}
WAITING = {"run", "jobs.wait", "triggers.wait", "logs.follow"}
"""Verbs that continue over an outage; see below."""
LOCAL = {"on"}
"""Verbs that do not use the database."""


def test_no_verb_is_left_out(anyio_backend: object) -> None:
    """A verb that is added must be tried here too."""
    del anyio_backend
    found = set()
    for prefix, owner in (
        ("", Engine),
        *(
            (f"{name}.", owner)
            for name, owner in (
                ("reactions", _class_of("Reactions")),
                ("triggers", _class_of("Triggers")),
                ("jobs", _class_of("Jobs")),
                ("logs", _class_of("Logs")),
                ("secrets", _class_of("Secrets")),
                ("ids", _class_of("Ids")),
            )
        ),
    ):
        found |= {
            f"{prefix}{name}"
            for name, member in vars(owner).items()
            if inspect.isfunction(member) and not name.startswith("_")
        }
    missing = found - set(VERBS) - WAITING - LOCAL
    assert not missing


def _class_of(name: str) -> type:
    module = import_module(f"delivery.service.{name.lower()}")
    return getattr(module, name)  # type: ignore[no-any-return]


async def refused_by(engine: Engine, verb: str) -> DatabaseError | None:
    """Return the error of a verb; None if it succeeds, or has no object."""
    found: DatabaseError | None = None
    try:
        async with asyncio.timeout(60):
            await VERBS[verb](engine)
    except NotFound:
        return None
    except DatabaseError as error:
        found = error
    if found is not None:
        assert "\n" not in str(found)
        assert found.exit_code == 3
    return found


async def test_a_database_that_cannot_be_reached(database_url: str) -> None:
    async with Proxy(database_url) as proxy, engine_on(proxy.url, **KEYS) as engine:
        await proxy.refuse()
        for verb in VERBS:
            error = await refused_by(engine, verb)
            assert isinstance(error, DatabaseError), verb
            assert error.code in {"database_unavailable", "connection_lost"}, verb


async def test_a_database_that_is_silent(database_url: str) -> None:
    # Long enough for the engine to open, and waited for by all verbs at the same time.
    quick = {"statement_timeout": 1.0, "connect_timeout": 1.0, "pool_size": 2 * len(VERBS)}
    async with Proxy(database_url) as proxy, engine_on(proxy.url, database=quick, **KEYS) as engine:
        proxy.swallow()
        errors = await asyncio.gather(*(refused_by(engine, verb) for verb in VERBS))
        for verb, error in zip(VERBS, errors, strict=True):
            assert isinstance(error, (StatementTimeout, DatabaseUnavailable)), verb


async def test_a_schema_that_is_gone(database_url: str) -> None:
    async with engine_on(database_url, **KEYS) as engine:
        await _run_on(database_url, "DROP SCHEMA delivery CASCADE")
        for verb in VERBS:
            assert isinstance(await refused_by(engine, verb), SchemaMismatch), verb


async def test_a_database_that_is_read_only(
    database_server: DatabaseServer, database_url: str
) -> None:
    name = database_url.partition("?")[0].rpartition("/")[2]
    async with engine_on(database_url, **KEYS) as engine:
        await engine.reactions.create(name="there", url=URL)
        await _run_on(
            database_server.url,
            f'ALTER DATABASE "{name}" SET default_transaction_read_only = on',
            f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'",
        )
        refused = {}
        for verb in VERBS:
            error = await refused_by(engine, verb)
            while error is not None and not isinstance(error, ReadOnlyDatabase):
                # A session that was ended is noticed once.
                assert error.code in {"connection_lost", "database_restarting"}
                error = await refused_by(engine, verb)
            refused[verb] = error is not None
        assert refused["trigger"]
        assert refused["jobs.create"]
        assert refused["reactions.create"]
        assert not refused["jobs.list"], "commands that only read succeed"


async def test_a_role_without_rights(database_server: DatabaseServer, database_url: str) -> None:
    name = database_url.partition("?")[0].rpartition("/")[2]
    await _run_on(database_server.url, f'CREATE ROLE "{name}" LOGIN IN ROLE postgres')
    try:
        async with engine_on(database_url.replace("postgres@", f"{name}@"), **KEYS) as engine:
            await _run_on(database_server.url, f'REVOKE postgres FROM "{name}"')
            for verb in VERBS:
                assert isinstance(await refused_by(engine, verb), MissingRights), verb
    finally:
        await _run_on(database_server.url, f'DROP ROLE "{name}"')


async def test_errors_on_the_callers_connection_are_ours_too(database_url: str) -> None:
    async with engine_on(database_url) as engine:
        connection = await asyncpg.connect(database_url)
        try:
            async with connection.transaction(readonly=True):
                with pytest.raises(UnusableConnection, match="read-only"):
                    await engine.trigger("x", 1, connection=connection)
            async with connection.transaction(readonly=True):
                with pytest.raises(UnusableConnection, match="read-only"):
                    await engine.jobs.create(url=URL, connection=connection)
        finally:
            await connection.close()


async def test_waits_and_followers_continue_over_a_restart(private_server: PrivateServer) -> None:
    await _migrated(private_server.url)
    async with (
        Receiver(default=Respond()) as receiver,
        engine_on(private_server.url) as engine,
    ):
        await engine.reactions.create(name="r", url=receiver.url("/r"))
        followed: list[Outcome] = []

        async def follow() -> None:
            async for log in engine.logs.follow():
                outcome = log.outcome
                followed.append(outcome)

        following = asyncio.create_task(follow())
        trigger = await engine.trigger("x", 1)
        waiting = asyncio.create_task(wait_for_all(engine, trigger.jobs))
        waiting_for_all = asyncio.create_task(engine.triggers.wait(trigger.id, timeout=60))
        await anyio.sleep(0.2)
        await anyio.to_thread.run_sync(private_server.kill)
        await anyio.sleep(0.5)
        assert not waiting.done()
        assert not waiting_for_all.done()
        await anyio.to_thread.run_sync(private_server.start)
        async with engine.workers():
            (job,) = await waiting
            assert await waiting_for_all == (job,)
            with anyio.fail_after(60):
                while not followed:
                    await anyio.sleep(0.05)
        following.cancel()
        assert job.status is JobStatus.SUCCEEDED
        assert followed == [Outcome.SUCCEEDED]


async def test_waiting_for_a_trigger_ends_immediately_when_the_schema_is_gone(
    database_url: str,
) -> None:
    async with engine_on(database_url) as engine:
        await engine.reactions.create(name="r", url=URL)
        trigger = await engine.trigger("x", 1)
        waiting = asyncio.create_task(engine.triggers.wait(trigger.id, timeout=60))
        await engine.triggers.status(trigger.id)
        await _run_on(database_url, "DROP SCHEMA delivery CASCADE")
        with pytest.raises(SchemaMismatch):
            async with asyncio.timeout(30):
                await waiting


async def _migrated(url: str) -> None:
    from delivery.store.migrate import migrate  # noqa: PLC0415 - only here

    connection = await asyncpg.connect(url)
    await migrate(connection)
    await connection.close()


async def _run_on(url: str, *texts: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        for text in texts:
            await connection.execute(text)
    finally:
        await connection.close()

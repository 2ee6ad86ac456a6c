"""A caller's session may be set up in any way; it changes nothing for others."""

from __future__ import annotations

import traceback
import uuid
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import asyncpg
import pytest

from delivery import DatabaseError, InvalidInput, NoTransaction, UnusableConnection
from delivery.errors import (
    DatabaseConflict,
    DiskFull,
    MissingRights,
    StatementTimeout,
    ValueRefused,
)
from delivery.testing import Receiver, Respond
from tests.support.engines import engine_on, wait_for_all

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from delivery import Engine
    from tests.support.databases import DatabaseServer

pytestmark = pytest.mark.anyio

TEXT = 'O\'Brien \\ "x"\n\t$1 é {,} \\N'
TYPES = ("bool", "bytea", "int2", "int4", "int8", "text", "timestamptz", "uuid", "json", "jsonb")


class Shouting(asyncpg.Record):
    """A record class that gives something else than the value."""

    def __getitem__(self, key: Any) -> Any:
        return f"{super().__getitem__(key)}!"


async def _with_codecs(connection: asyncpg.Connection[Any]) -> None:
    def refuse(value: object) -> Any:
        message = f"this codec is for the caller's own values, not for {value!r}"
        raise ValueError(message)

    for name in TYPES:
        await connection.set_type_codec(
            name, schema="pg_catalog", encoder=refuse, decoder=lambda text: f"<{text}>"
        )


async def _with_path(connection: asyncpg.Connection[Any]) -> None:
    await connection.execute("SET search_path = nowhere")
    await connection.execute("SET datestyle = 'SQL, DMY'")
    await connection.execute("SET standard_conforming_strings = off")
    await connection.execute("SET timezone = 'Asia/Kathmandu'")


@pytest.fixture
def another_database_url(database_server: DatabaseServer) -> Iterator[str]:
    """A second migrated database on the same server."""
    with database_server.database() as url:
        yield url


@asynccontextmanager
async def session(url: str, kind: str) -> AsyncIterator[asyncpg.Connection[Any]]:
    """Connect as a caller, with a session that is set up in one of several ways."""
    record_class = Shouting if kind == "record class" else asyncpg.Record
    cache = 0 if kind == "no cache" else 100
    connection = await asyncpg.connect(
        url, record_class=record_class, statement_cache_size=cache, timeout=30
    )
    try:
        if kind in {"codecs", "codecs and path"}:
            await _with_codecs(connection)
        if kind in {"path", "codecs and path"}:
            await _with_path(connection)
        yield connection
    finally:
        await connection.close()


KINDS = ("plain", "codecs", "record class", "path", "codecs and path", "no cache")


async def _reaction(engine: Engine, receiver: Receiver, **options: Any) -> None:
    await engine.reactions.create(
        name=TEXT,
        event_types=["x", "y.*"],
        url=receiver.url("/r"),
        condition=f"@ != '{uuid.uuid4()}'",
        **options,
    )


@pytest.mark.parametrize("kind", KINDS)
async def test_any_session_writes_the_same_rows_as_the_engine_and_changes_no_other_session(
    database_url: str, kind: str
) -> None:
    async with (
        Receiver(default=Respond()) as receiver,
        engine_on(database_url) as engine,
        session(database_url, kind) as connection,
    ):
        await _reaction(engine, receiver, tenant_id=TEXT[:20])
        due = datetime.now(UTC) - timedelta(seconds=1.5)
        deadline = datetime.now(UTC) + timedelta(hours=1)
        async with connection.transaction():
            first = await engine.trigger(
                "x",
                {"text": TEXT, "n": [1, None, 2.5]},
                user_id=TEXT,
                run_at=due,
                priority=7,
                deadline=deadline,
                tenant_id=TEXT[:20],
                connection=connection,
            )
            direct = await engine.jobs.create(
                url=receiver.url("/d"),
                payload=TEXT,
                user_id=TEXT,
                tenant_id=TEXT[:20],
                connection=connection,
            )
        job = await engine.jobs.get(first.jobs[0], tenant_id=TEXT[:20])
        assert (job.user_id, job.run_at, job.priority, job.deadline) == (TEXT, due, 7, deadline)
        stored = await engine.triggers.get(first.id, tenant_id=TEXT[:20])
        assert stored.payload == first.payload
        assert stored.created_at == first.created_at
        assert await engine.jobs.get(direct.id, tenant_id=TEXT[:20]) == direct
        second = await engine.trigger("y.z", 1, tenant_id=TEXT[:20])
        assert len(second.jobs) == 1, "the shared copy of the reactions is as it was"
        async with engine.workers():
            for done in [first.jobs[0], second.jobs[0], direct.id]:
                finished = await engine.jobs.wait(done, timeout=60, tenant_id=TEXT[:20])
                assert finished.status == "succeeded"


@pytest.mark.parametrize("kind", ["plain", "codecs"])
@pytest.mark.parametrize("isolation", ["repeatable_read", "serializable"])
async def test_a_transaction_with_an_older_snapshot_matches_the_reactions_that_it_sees(
    database_url: str, kind: str, isolation: Any
) -> None:
    async with (
        Receiver(default=Respond()) as receiver,
        engine_on(database_url) as engine,
        session(database_url, kind) as connection,
    ):
        await _reaction(engine, receiver)
        async with connection.transaction(isolation=isolation):
            await connection.execute("SELECT count(*) FROM delivery.reactions")
            await _reaction(engine, receiver)
            await _reaction(engine, receiver)
            assert len((await engine.trigger("x", 1)).jobs) == 3
            inside = await engine.trigger("x", 1, connection=connection)
            assert len(inside.jobs) == 1
            assert len((await engine.trigger("x", 1)).jobs) == 3


@pytest.mark.parametrize("kind", ["plain", "codecs"])
async def test_reactions_that_only_the_callers_transaction_sees_stay_its_own(
    database_url: str, kind: str
) -> None:
    async with (
        Receiver(default=Respond()) as receiver,
        engine_on(database_url) as engine,
        session(database_url, kind) as connection,
    ):
        await _reaction(engine, receiver)
        assert len((await engine.trigger("x", 1)).jobs) == 1
        transaction = connection.transaction()
        await transaction.start()
        await connection.execute("UPDATE delivery.reactions SET state = 'disabled'")
        await connection.execute("UPDATE delivery.catalogs SET version = version + 1")
        assert (await engine.trigger("x", 1, connection=connection)).jobs == ()
        assert len((await engine.trigger("x", 1)).jobs) == 1
        await transaction.rollback()
        assert len((await engine.trigger("x", 1)).jobs) == 1


async def test_a_failed_transaction_is_refused_with_an_error_of_ours(database_url: str) -> None:
    async with engine_on(database_url) as engine, session(database_url, "plain") as connection:
        transaction = connection.transaction()
        await transaction.start()
        with pytest.raises(asyncpg.PostgresError):
            await connection.execute("SELECT 1 / 0")
        with pytest.raises(UnusableConnection, match="has failed before") as raised:
            await engine.trigger("x", 1, connection=connection)
        assert isinstance(raised.value.__cause__, asyncpg.InFailedSQLTransactionError)
        await transaction.rollback()


async def test_a_read_only_transaction_is_refused_with_an_error_of_ours(database_url: str) -> None:
    async with (
        engine_on(database_url) as engine,
        session(database_url, "plain") as connection,
        connection.transaction(readonly=True),
    ):
        with pytest.raises(UnusableConnection, match="read-only"):
            await engine.trigger("x", 1, connection=connection)


async def test_closed_and_released_connections_are_refused_with_an_error_of_ours(
    database_url: str,
) -> None:
    async with engine_on(database_url) as engine:
        async with session(database_url, "plain") as connection:
            pass
        with pytest.raises(UnusableConnection, match="is closed"):
            await engine.trigger("x", 1, connection=connection)
        pool = await asyncpg.create_pool(database_url, min_size=1, max_size=1)
        released = await pool.acquire()
        await pool.release(released)
        with pytest.raises(UnusableConnection, match="released"):
            await engine.trigger("x", 1, connection=released)
        await pool.close()


async def test_a_connection_that_is_lost_is_reported_by_an_error_of_ours(database_url: str) -> None:
    async with engine_on(database_url) as engine, session(database_url, "plain") as connection:
        await connection.execute("BEGIN")
        await engine._pool.fetchval(
            "SELECT pg_terminate_backend($1, 5000)", connection.get_server_pid()
        )
        with pytest.raises((DatabaseError, UnusableConnection)) as raised:
            await engine.trigger("x", 1, connection=connection)
        assert raised.value.__cause__ is not None or "closed" in str(raised.value)


async def test_a_connection_to_another_database_is_refused_and_its_transaction_stays_usable(
    database_url: str, another_database_url: str, empty_database_url: str
) -> None:
    wrong = {another_database_url: "other than the engine's", empty_database_url: "without the sch"}
    async with engine_on(database_url) as engine:
        for url, words in wrong.items():
            async with session(url, "plain") as connection, connection.transaction():
                with pytest.raises(UnusableConnection, match=words):
                    await engine.trigger("x", 1, connection=connection)
                with pytest.raises(UnusableConnection, match=words):
                    await engine.jobs.create(url="http://127.0.0.1:9/", connection=connection)
                assert await connection.fetchval("SELECT 1") == 1


async def test_a_connection_by_another_way_to_the_same_database_is_accepted(
    database_url: str,
) -> None:
    async with engine_on(database_url) as engine, session(database_url, "plain") as connection:
        engine._trigger_writer._callers._place = "elsewhere"
        async with connection.transaction():
            await engine.trigger("x", 1, connection=connection)
        async with connection.transaction():
            trigger = await engine.trigger("x", 2, connection=connection)
        assert (await engine.triggers.get(trigger.id)).payload == b"2"


async def test_an_error_of_the_database_on_a_callers_connection_is_one_of_ours(
    database_url: str,
) -> None:
    async with engine_on(database_url) as engine, session(database_url, "plain") as connection:
        await engine._pool.execute("ALTER TABLE delivery.triggers ADD CHECK (type <> 'x')")
        with pytest.raises(DatabaseError, match="rolled back") as raised:
            async with connection.transaction():
                await engine.trigger("x", 1, connection=connection)
        assert isinstance(raised.value.__cause__, asyncpg.CheckViolationError)
        async with connection.transaction():
            await engine.trigger("y", 1, connection=connection)
        with pytest.raises(NoTransaction):
            await engine.trigger("y", 1, connection=connection)
        with pytest.raises(InvalidInput):
            await engine.trigger("y", 1, connection=5)


@pytest.mark.parametrize(
    ("sqlstate", "kind"),
    [
        ("53100", DiskFull),
        ("42501", MissingRights),
        ("57014", StatementTimeout),
        ("22003", ValueRefused),
        ("40P01", DatabaseConflict),
        ("P0001", DatabaseError),
    ],
)
@pytest.mark.parametrize("setup", ["plain", "codecs"])
async def test_an_error_on_a_callers_connection_has_the_class_it_has_on_the_engines_own(
    database_url: str, setup: str, sqlstate: str, kind: type[DatabaseError]
) -> None:
    async with engine_on(database_url) as engine, session(database_url, setup) as connection:
        await engine._pool.execute(
            "CREATE FUNCTION public.refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE"
            f" EXCEPTION 'refused' USING ERRCODE = '{sqlstate}', DETAIL = 'hunter2'; END $$"
        )
        await engine._pool.execute(
            "CREATE TRIGGER refuse BEFORE INSERT ON delivery.triggers"
            " FOR EACH ROW EXECUTE FUNCTION public.refuse()"
        )
        transaction = connection.transaction()
        await transaction.start()
        with pytest.raises(DatabaseError, match="can only be rolled back") as raised:
            await engine.trigger("x", 1, connection=connection)
        await transaction.rollback()
        assert type(raised.value) is kind
        assert "hunter2" not in "".join(traceback.format_exception(raised.value))


async def test_an_error_on_a_callers_connection_does_not_show_the_payload(
    database_url: str,
) -> None:
    async with engine_on(database_url) as engine, session(database_url, "plain") as connection:
        await engine._pool.execute("ALTER TABLE delivery.triggers ADD CHECK (type <> 'x')")
        secret = "hunter2"
        with pytest.raises(ValueRefused) as raised:
            async with connection.transaction():
                await engine.trigger("x", {"password": secret}, connection=connection)
        # A payload appears as hexadecimal digits in the server's details.
        shown = "".join(traceback.format_exception(raised.value))
        assert secret not in shown
        assert secret.encode().hex() not in shown


@pytest.mark.parametrize("notifications", [True, False])
async def test_work_of_a_callers_transaction_is_delivered_soon_after_its_end(
    database_url: str, *, notifications: bool
) -> None:
    slow_polling = {"poll_min": 60, "poll_max": 60}
    async with (
        Receiver(default=Respond()) as receiver,
        engine_on(database_url, notifications=notifications, worker=slow_polling) as engine,
        session(database_url, "plain") as connection,
    ):
        await _reaction(engine, receiver)
        async with engine.workers():
            async with connection.transaction():
                trigger = await engine.trigger("x", 1, connection=connection)
                await connection.execute("SELECT pg_sleep(0.1)")
            (job,) = await wait_for_all(engine, trigger.jobs, timeout=40)
        assert job.status == "succeeded"

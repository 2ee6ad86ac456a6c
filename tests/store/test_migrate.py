"""Migrations update any database to the engine's schema, and refuse schemas they cannot update."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import asyncpg
import pytest

from delivery.errors import DatabaseError, SchemaMismatch
from delivery.store.migrate import (
    AppliedMigration,
    Migration,
    applied,
    check_schema,
    load_migrations,
    migrate,
    mismatch,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

pytestmark = pytest.mark.anyio

FIRST = "CREATE TABLE delivery.first (id int);\nCREATE TABLE delivery.also (id int);\n"
SECOND = "ALTER TABLE delivery.first ADD COLUMN name text;\n"


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[asyncpg.Connection[asyncpg.Record]]:
    connection = await asyncpg.connect(url)
    try:
        yield connection
    finally:
        await connection.close()


def made(directory: Path, *texts: str) -> tuple[Migration, ...]:
    """Write these texts to files and load them as migrations."""
    directory.mkdir(exist_ok=True)
    for version, text in enumerate(texts, start=1):
        (directory / f"{version:04}_step.sql").write_text(text, encoding="utf-8")
    return load_migrations(directory)


def as_applied(migration: Migration) -> AppliedMigration:
    return AppliedMigration(
        migration.version,
        migration.name,
        migration.checksum,
        migration.additive,
        datetime.now(UTC),
    )


async def test_an_empty_database_gets_every_migration_in_order(
    empty_database_url: str,
    tmp_path: Path,
) -> None:
    migrations = made(tmp_path, FIRST, SECOND)
    async with connected(empty_database_url) as connection:
        assert await applied(connection) == ()
        assert await migrate(connection, migrations) == ("0001_step", "0002_step")
        done = await applied(connection)
        assert [record.version for record in done] == [1, 2]
        assert [record.checksum for record in done] == [each.checksum for each in migrations]
        await check_schema(connection, migrations)
        assert await connection.fetch("SELECT id, name FROM delivery.first") == []


async def test_migrating_again_changes_nothing(empty_database_url: str, tmp_path: Path) -> None:
    migrations = made(tmp_path, FIRST)
    async with connected(empty_database_url) as connection:
        await migrate(connection, migrations)
        assert await migrate(connection, migrations) == ()


async def test_only_missing_migrations_are_applied(empty_database_url: str, tmp_path: Path) -> None:
    async with connected(empty_database_url) as connection:
        await migrate(connection, made(tmp_path, FIRST))
        assert await migrate(connection, made(tmp_path, FIRST, SECOND)) == ("0002_step",)


async def test_the_engine_s_migrations_pass_the_check(database_url: str) -> None:
    async with connected(database_url) as connection:
        await check_schema(connection)
        assert len(await applied(connection)) == len(load_migrations())


async def test_concurrent_starts_apply_each_migration_once(
    empty_database_url: str,
    tmp_path: Path,
) -> None:
    """The first statement of each migration would fail if it ran twice."""
    migrations = made(tmp_path, FIRST, SECOND, "SELECT pg_sleep(0.05)", "SELECT 1")

    async def start() -> tuple[str, ...]:
        async with connected(empty_database_url) as connection:
            return await migrate(connection, migrations)

    labels = await asyncio.gather(*(start() for _ in range(8)))
    assert sorted(label for one in labels for label in one) == [each.label for each in migrations]


async def test_a_failed_migration_is_rolled_back_and_earlier_ones_remain(
    empty_database_url: str,
    tmp_path: Path,
) -> None:
    migrations = made(tmp_path, FIRST, "CREATE TABLE delivery.half (id int); SELECT 1/0;")
    async with connected(empty_database_url) as connection:
        with pytest.raises(DatabaseError, match=r"migration 0002_step failed.*division by zero"):
            await migrate(connection, migrations)
        assert len(await applied(connection)) == 1
        assert await connection.fetchval("SELECT to_regclass('delivery.half')") is None
        await migrate(connection, made(tmp_path, FIRST, SECOND))


async def test_a_program_killed_while_it_migrates_blocks_no_other(
    empty_database_url: str,
    tmp_path: Path,
) -> None:
    migrations = made(tmp_path, FIRST)
    async with connected(empty_database_url) as dying, connected(empty_database_url) as other:
        await dying.execute("BEGIN; SELECT pg_advisory_xact_lock(7234307576654295673)")
        waiting = asyncio.create_task(migrate(other, migrations))
        async with connected(empty_database_url) as watching:
            while not await watching.fetchval(
                "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted",
            ):
                assert not waiting.done()
        dying.terminate()
        assert await waiting == ("0001_step",)


async def test_a_migration_is_repeated_after_a_deadlock(
    empty_database_url: str, tmp_path: Path
) -> None:
    locking = FIRST + "LOCK delivery.taken_first; LOCK delivery.taken_second;\n"
    async with connected(empty_database_url) as own, connected(empty_database_url) as other:
        await migrate(own, made(tmp_path, TAKEN))
        # The migration detects the deadlock, since the other transaction waits for a minute.
        await other.execute("SET deadlock_timeout = '60s'")
        await other.execute("BEGIN; LOCK delivery.taken_second")
        migrating = asyncio.create_task(migrate(own, made(tmp_path, TAKEN, locking)))
        async with connected(empty_database_url) as watching:
            while not await watching.fetchval(WAITING, "taken_second"):
                assert not migrating.done()
        await other.execute("LOCK delivery.taken_first; COMMIT")
        assert await migrating == ("0002_step",)


TAKEN = "CREATE TABLE delivery.taken_first (); CREATE TABLE delivery.taken_second ();\n"
WAITING = (
    "SELECT count(*) FROM pg_locks JOIN pg_class ON pg_class.oid = relation"
    " WHERE relname = $1 AND NOT granted"
)


async def test_the_error_of_a_role_without_rights_names_the_missing_right(
    empty_database_url: str,
    tmp_path: Path,
) -> None:
    role = empty_database_url.partition("?")[0].rpartition("/")[2]
    async with connected(empty_database_url) as connection:
        await connection.execute(f"CREATE ROLE {role} NOLOGIN; SET ROLE {role}")
        try:
            with pytest.raises(DatabaseError, match="grant the user CREATE on the database"):
                await migrate(connection, made(tmp_path, FIRST))
        finally:
            await connection.execute(f"RESET ROLE; DROP ROLE {role}")


async def test_the_error_for_a_missing_schema_is_to_migrate(
    empty_database_url: str,
    tmp_path: Path,
) -> None:
    async with connected(empty_database_url) as connection:
        with pytest.raises(SchemaMismatch, match="no delivery schema yet; run `delivery migrate`"):
            await check_schema(connection, made(tmp_path, FIRST))


async def test_the_error_for_an_older_schema_is_to_migrate(
    empty_database_url: str,
    tmp_path: Path,
) -> None:
    async with connected(empty_database_url) as connection:
        await migrate(connection, made(tmp_path, FIRST))
        with pytest.raises(SchemaMismatch, match=r"version 1, but .* 2; run `delivery migrate`"):
            await check_schema(connection, made(tmp_path, FIRST, SECOND))


ADDITIVE = "-- additive: a new column\nALTER TABLE delivery.first ADD COLUMN more text;\n"
ADDITIVE_TOO = "-- additive: a new table\nCREATE TABLE delivery.added (id int);\n"


@pytest.mark.parametrize("start", [migrate, check_schema])
async def test_an_engine_accepts_a_schema_that_is_one_additive_migration_newer(
    start: object,
    empty_database_url: str,
    tmp_path: Path,
) -> None:
    old = made(tmp_path / "old", FIRST)
    new = made(tmp_path / "new", FIRST, ADDITIVE)
    assert [each.additive for each in new] == [False, True]
    async with connected(empty_database_url) as connection:
        await migrate(connection, new)
        await check_schema(connection, new)
        await (migrate if start is migrate else check_schema)(connection, old)
        assert [each.additive for each in await applied(connection)] == [False, True]


@pytest.mark.parametrize("start", [migrate, check_schema])
async def test_an_engine_refuses_a_schema_that_is_two_migrations_newer(
    start: object,
    empty_database_url: str,
    tmp_path: Path,
) -> None:
    old = made(tmp_path / "old", FIRST)
    async with connected(empty_database_url) as connection:
        await migrate(connection, made(tmp_path / "new", FIRST, ADDITIVE, ADDITIVE_TOO))
        with pytest.raises(SchemaMismatch, match="version 3, 2 versions newer than version 1"):
            await (migrate if start is migrate else check_schema)(connection, old)


async def test_an_altered_migration_is_named_if_there_is_a_newer_one(
    empty_database_url: str, tmp_path: Path
) -> None:
    async with connected(empty_database_url) as connection:
        await migrate(connection, made(tmp_path / "new", FIRST, ADDITIVE))
        with pytest.raises(SchemaMismatch, match="migration 0001_step is not the one"):
            await check_schema(connection, made(tmp_path / "old", FIRST + "-- another word\n"))


@pytest.mark.parametrize("start", [migrate, check_schema])
async def test_an_engine_older_than_the_schema_refuses_to_start(
    start: object,
    empty_database_url: str,
    tmp_path: Path,
) -> None:
    assert start in {migrate, check_schema}
    async with connected(empty_database_url) as connection:
        await migrate(connection, made(tmp_path / "new", FIRST, SECOND))
        old = made(tmp_path / "old", FIRST)
        with pytest.raises(SchemaMismatch, match="version 2, newer than version 1 of this engine"):
            await (migrate if start is migrate else check_schema)(connection, old)


async def test_an_altered_migration_is_named(empty_database_url: str, tmp_path: Path) -> None:
    async with connected(empty_database_url) as connection:
        await migrate(connection, made(tmp_path, FIRST, SECOND))
        altered = made(tmp_path, FIRST + "-- a word more\n", SECOND)
        with pytest.raises(SchemaMismatch, match="migration 0001_step is not the one"):
            await check_schema(connection, altered)


async def test_windows_line_ends_are_no_alteration(
    empty_database_url: str,
    tmp_path: Path,
) -> None:
    async with connected(empty_database_url) as connection:
        await migrate(connection, made(tmp_path, FIRST))
        (tmp_path / "0001_step.sql").write_bytes(FIRST.replace("\n", "\r\n").encode())
        await check_schema(connection, load_migrations(tmp_path))


async def test_migrating_leaves_no_session_state_for_pgbouncer(
    empty_database_url: str,
    tmp_path: Path,
) -> None:
    """A migration leaves no lock and no setting in the session."""
    async with connected(empty_database_url) as connection:
        await migrate(connection, made(tmp_path, FIRST))
        locks = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'"
        assert await connection.fetchval(locks) == 0


def test_a_gap_in_the_applied_migrations_is_named(tmp_path: Path) -> None:
    known = made(tmp_path, FIRST, SECOND, "SELECT 1")
    text = mismatch(known, [as_applied(known[0]), as_applied(known[2])])
    assert text is not None
    assert "migration 3 is applied but 2 is not" in text


def test_a_beginning_of_the_known_migrations_is_no_mismatch(tmp_path: Path) -> None:
    known = made(tmp_path, FIRST, SECOND)
    for length in range(3):
        assert mismatch(known, [as_applied(each) for each in known[:length]]) is None


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["0001_a.sql", "0003_b.sql"], r"numbered 1, 2, 3, …, but are \[1, 3\]"),
        (["0001_a.sql", "0001_b.sql"], r"but are \[1, 1\]"),
        (["1_a.sql"], "1_a.sql: a migration is called NNNN_name.sql"),
        ([], r"but are \[\]"),
    ],
)
def test_files_with_gaps_or_wrong_names_are_refused(
    names: list[str],
    message: str,
    tmp_path: Path,
) -> None:
    for name in names:
        (tmp_path / name).write_text("SELECT 1", encoding="utf-8")
    with pytest.raises(SchemaMismatch, match=message):
        load_migrations(tmp_path)

"""Migrations of the schema, and the check that an engine can work with a schema.

Migrations are numbered files, `migrations/NNNN_name.sql`. They are applied in order and never
changed: the table `delivery.schema_migrations` has the SHA-256 of each. Each runs in a separate
transaction under an advisory lock, so that any number of programs can start concurrently.

A migration whose first comment begins with `-- additive:` only adds to the schema, so engines of
the previous version can work with it. An engine accepts a schema of the same version, and a schema
that is one additive migration newer. In a rolling deploy, migrate first and replace the workers
after. Two newer migrations are refused.
"""

from __future__ import annotations

import hashlib
import logging
import re
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Final

import asyncpg

from delivery.errors import DatabaseError, MissingRights, SchemaMismatch, WrongEncoding
from delivery.store.driver.errors import describe
from delivery.store.driver.sqlstates import DEADLOCK_DETECTED, postgres_error
from delivery.store.driver.transaction import transaction_on
from delivery.store.statements import statement

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from importlib.resources.abc import Traversable

    from delivery.store.driver.connection import Connection

__all__ = [
    "MIGRATION_TIMEOUT",
    "AppliedMigration",
    "Migration",
    "applied",
    "check_encoding",
    "check_schema",
    "load_migrations",
    "migrate",
    "mismatch",
]

logger = logging.getLogger(__name__)

OLDEST_SERVER: Final = 15
MIGRATION_TIMEOUT: Final = 3600.0
"""Seconds for one migration, and for waiting for the migration of another program."""
_ENCODING: Final = "UTF8"
_MOST_DEADLOCKS: Final = 20
"""Number of times that a migration is repeated after a deadlock."""
_ADDITIVE: Final = b"-- additive:"
_MOST_AHEAD: Final = 1
"""Maximum number of newer, additive migrations that an engine accepts."""
_FILE_NAME: Final = re.compile(r"(?P<version>\d{4})_(?P<name>[a-z0-9_]+)\.sql")


@dataclass(frozen=True, slots=True)
class Migration:
    """Migration of this engine."""

    version: int
    name: str
    """Name of the file without number and suffix."""
    text: str
    checksum: str
    """SHA-256 of the text with Unix line ends, in hexadecimal."""
    additive: bool = False
    """True if engines of the previous version can work with the schema after it."""

    @property
    def label(self) -> str:
        """Name of the file without suffix, such as `0001_name`."""
        return f"{self.version:04}_{self.name}"


@dataclass(frozen=True, slots=True)
class AppliedMigration:
    """Migration that the database has recorded."""

    version: int
    name: str
    checksum: str
    additive: bool
    applied_at: datetime

    @property
    def label(self) -> str:
        """Name of its file without suffix."""
        return f"{self.version:04}_{self.name}"


def load_migrations(directory: Path | Traversable | None = None) -> tuple[Migration, ...]:
    """Read the migrations of `directory`; None: the migrations of this engine.

    Raises:
        SchemaMismatch: The files are missing, misnamed, or not numbered 1, 2, 3, …
    """
    directory = directory or _own_directory()
    migrations: list[Migration] = []
    for entry in sorted(directory.iterdir(), key=lambda entry: entry.name):
        if not entry.name.endswith(".sql"):
            continue
        match = _FILE_NAME.fullmatch(entry.name)
        if match is None:
            message = f"{entry.name}: a migration is called NNNN_name.sql"
            raise SchemaMismatch(message)
        text = entry.read_bytes().replace(b"\r\n", b"\n")
        migrations.append(
            Migration(
                version=int(match["version"]),
                name=match["name"],
                text=text.decode(),
                checksum=hashlib.sha256(text).hexdigest(),
                additive=text.startswith(_ADDITIVE),
            ),
        )
    versions = [migration.version for migration in migrations]
    if not versions or versions != list(range(1, len(versions) + 1)):
        message = f"{directory}: migrations must be numbered 1, 2, 3, …, but are {versions}"
        raise SchemaMismatch(message)
    return tuple(migrations)


def _own_directory() -> Path | Traversable:
    shipped = files("delivery") / "migrations"
    # In a checkout and an editable installation, they are next to the package.
    return shipped if shipped.is_dir() else Path(__file__).parents[2] / "migrations"


def mismatch(known: Sequence[Migration], done: Sequence[AppliedMigration]) -> str | None:
    """Return the reason why an engine with migrations `known` cannot use a database with `done`.

    None if `done` is a beginning of `known`, so that the missing migrations can be applied, or if
    it has one more migration, which is additive.
    """
    newer = done[len(known) :]
    if len(newer) > _MOST_AHEAD:
        return (
            f"the database's schema is at version {done[-1].version}, {len(newer)} versions newer"
            f" than version {len(known)} of this engine; upgrade the engine"
        )
    if newer and not newer[0].additive:
        return (
            f"the database's schema is at version {done[-1].version}, newer than version"
            f" {len(known)} of this engine, which cannot work with migration {newer[0].label};"
            " upgrade the engine"
        )
    for migration, record in zip(known, done, strict=False):
        if migration.version != record.version:
            return (
                f"the database says that migration {record.version} is applied but"
                f" {migration.version} is not; restore delivery.schema_migrations from a backup"
            )
        if (migration.name, migration.checksum) != (record.name, record.checksum):
            return (
                f"migration {migration.label} is not the one that the database was made with"
                f" ({record.label}); an applied migration must never be changed: install an"
                " unaltered engine"
            )
    return None


async def applied(connection: Connection) -> tuple[AppliedMigration, ...]:
    """Return the migrations of the database, in order; none if there is no schema yet."""
    if not await connection.fetchval(statement("migrations_exist")):
        return ()
    rows = await connection.fetch(statement("migrations_applied"))
    return tuple(AppliedMigration(**row) for row in rows)


async def check_schema(
    connection: Connection,
    migrations: Sequence[Migration] | None = None,
) -> None:
    """Ensure that this engine can work with the database's schema.

    Raises:
        SchemaMismatch: The schema is missing, altered, older, or newer by more than one additive
            migration; the message names the remedy.
    """
    known = load_migrations() if migrations is None else migrations
    done = await applied(connection)
    problem = mismatch(known, done)
    if problem is None and not done:
        problem = "the database has no delivery schema yet; run `delivery migrate`"
    elif problem is None and len(done) < len(known):
        problem = (
            f"the database's schema is at version {len(done)}, but this engine works with version"
            f" {len(known)}; run `delivery migrate`"
        )
    if problem is not None:
        raise SchemaMismatch(problem)


async def migrate(
    connection: Connection,
    migrations: Sequence[Migration] | None = None,
) -> tuple[str, ...]:
    """Apply the missing migrations, each in a separate transaction.

    Any number of programs can call it concurrently. A failed migration is rolled back; earlier
    migrations remain.

    Returns:
        The labels (`0001_name`) of the migrations that this call applied.

    Raises:
        SchemaMismatch: The schema is too new or altered; nothing was changed.
        WrongEncoding: The encoding of the database is not UTF-8; nothing was changed.
        DatabaseError: The server is too old, or refused a statement.
    """
    _check_server(connection)
    await check_encoding(connection)
    known = load_migrations() if migrations is None else migrations
    labels: list[str] = []
    while (label := await _apply_despite_deadlocks(connection, known)) is not None:
        labels.append(label)
    return tuple(labels)


async def _apply_despite_deadlocks(
    connection: Connection, known: Sequence[Migration]
) -> str | None:
    """Apply the first missing migration, again if PostgreSQL ends it to resolve a deadlock.

    Changes of a partitioned table lock its partitions in another order than workers do.
    """
    for _ in range(_MOST_DEADLOCKS):
        try:
            return await _apply_next(connection, known)
        except DatabaseError as error:
            found = postgres_error(error)
            if found is None or found.sqlstate != DEADLOCK_DETECTED:
                raise
            logger.info("a migration met a deadlock with other statements and is repeated")
    return await _apply_next(connection, known)


async def _apply_next(connection: Connection, known: Sequence[Migration]) -> str | None:
    """Apply the first missing migration, if any, under the lock, and return its label."""
    label = "the table of migrations"
    try:
        async with transaction_on(connection):
            await connection.execute(statement("migrations_lock"))
            done = await applied(connection)
            following = _following(known, done)
            if following is None:
                return None
            if not done:
                await connection.execute(statement("migrations_create_schema"))
                await connection.execute(statement("migrations_create_table"))
            label = f"migration {following.label}"
            await connection.execute(following.text)
            await connection.execute(
                statement("migrations_insert"),
                following.version,
                following.name,
                following.checksum,
                following.additive,
            )
            return following.label
    except SchemaMismatch as error:
        if error.__cause__ is None:
            raise
        message = f"{label} failed and was rolled back: {describe(error.__cause__)}"
        raise DatabaseError(message) from error
    except (DatabaseError, asyncpg.PostgresError) as error:
        raise _failed(label, error) from error


def _following(known: Sequence[Migration], done: Sequence[AppliedMigration]) -> Migration | None:
    """Return the first missing migration, if any."""
    problem = mismatch(known, done)
    if problem is not None:
        raise SchemaMismatch(problem)
    return known[len(done)] if len(done) < len(known) else None


def _failed(label: str, error: Exception) -> DatabaseError:
    """Return the error to raise for a failed migration."""
    reason = error.__cause__ if isinstance(error.__cause__, asyncpg.PostgresError) else error
    if isinstance(reason, asyncpg.InsufficientPrivilegeError):
        advice = "; grant the user CREATE on the database, or migrate as its owner"
        message = f"{label} failed and was rolled back: {describe(reason)}{advice}"
        return MissingRights(message)
    kind = type(error) if isinstance(error, DatabaseError) else DatabaseError
    return kind(f"{label} failed and was rolled back: {describe(reason)}")


async def check_encoding(connection: Connection) -> None:
    """Ensure that the encoding of the database is UTF-8.

    Raises:
        WrongEncoding: It is another encoding; the message names the remedy.
    """
    encoding = await connection.fetchval(statement("database_encoding"))
    if encoding != _ENCODING:
        message = (
            f"the database's encoding is {encoding}, which cannot store every string; create one"
            f" with `createdb --encoding {_ENCODING} --template template0 NAME`, and name it in"
            " database.url"
        )
        raise WrongEncoding(message)


def _check_server(connection: Connection) -> None:
    version = connection.get_server_version()
    if version.major < OLDEST_SERVER:
        message = (
            f"the server is PostgreSQL {version.major}.{version.minor};"
            f" {OLDEST_SERVER} or later is needed"
        )
        raise DatabaseError(message)

"""Name, connection and schema state of the configured database."""

from __future__ import annotations

from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from delivery.embedded.server import default_directory, start_embedded
from delivery.engine.maintenance import maintain
from delivery.service.checks import check_text
from delivery.settings import without_password
from delivery.store.driver.connection import connect
from delivery.store.grants import grant_reader, grant_worker, renew_grants
from delivery.store.migrate import MIGRATION_TIMEOUT, applied, check_schema
from delivery.store.migrate import migrate as apply_migrations
from delivery.store.partitions import ensure_partitions

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from delivery.settings import Settings
    from delivery.store.driver.connection import Connection, Session

__all__ = [
    "SchemaState",
    "bring_up_to_date",
    "check_database_schema",
    "maintain_database",
    "migrate_database",
    "name_database",
    "reach",
]

_LONGEST_ROLE: Final = 63
"""Maximum length of a name in PostgreSQL, in bytes."""


@dataclass(frozen=True, slots=True)
class SchemaState:
    """State of a schema, with the migrations just applied."""

    applied: tuple[str, ...]
    """Migrations applied by this call, in order; empty if the schema was up to date."""
    version: int


def name_database(settings: Settings) -> str:
    """Return the name of the database for display, without a password."""
    if settings.database.url is not None:
        return without_password(settings.database.url)
    return f"embedded in {settings.database.embedded_directory or default_directory()}"


@asynccontextmanager
async def reach(
    settings: Settings, *, statement_timeout: float | None = None
) -> AsyncIterator[tuple[str, Session, Settings]]:
    """Yield the database URL, a connection, and the settings, with an embedded database's key.

    The embedded database is started if it is configured.

    Args:
        settings: Settings of the database.
        statement_timeout: Seconds for a statement. Default: the setting.

    Raises:
        DatabaseUnavailable: If the connection fails.
        EmbeddedDatabaseError: If the embedded PostgreSQL cannot be started.
    """
    async with AsyncExitStack() as stack:
        url = settings.database.url
        if url is None:
            embedded = await start_embedded(settings.database.embedded_directory)
            stack.push_async_callback(embedded.close)
            url = embedded.url
            settings = settings.with_key(embedded.encryption_key)
        connection = await connect(
            url,
            settings.database.connect_timeout,
            statement_cache_size=settings.database.statement_cache_size,
            statement_timeout=statement_timeout or settings.database.statement_timeout,
        )
        stack.push_async_callback(connection.close)
        yield url, connection, settings


async def bring_up_to_date(connection: Connection, days_ahead: int) -> tuple[str, ...]:
    """Apply missing migrations, and create the partitions of the next days.

    Roles with rights on the schema get rights on new objects.

    Returns:
        Labels of the applied migrations, in order.

    Raises:
        DatabaseError: If the server rejects a statement.
        SchemaMismatch: If the schema is newer than this engine, or a migration was altered.
    """
    labels = await apply_migrations(connection)
    if labels:
        await renew_grants(connection)
    await ensure_partitions(connection, days_ahead)
    return labels


async def migrate_database(
    settings: Settings, *, workers: Sequence[str] = (), readers: Sequence[str] = ()
) -> SchemaState:
    """Migrate the schema. Several processes can do this concurrently.

    Args:
        settings: Settings of the database.
        workers: Roles that produce and deliver.
        readers: Roles that read.

    Raises:
        DatabaseError: If the database is unusable, or a role does not exist.
        InvalidInput: If the name of a role is empty or invalid.
        SchemaMismatch: If the schema is newer than this engine, or a migration was altered.
    """
    for role in (*workers, *readers):
        check_text("the name of a role", role, max_length=_LONGEST_ROLE)
    async with reach(settings, statement_timeout=MIGRATION_TIMEOUT) as (_, connection, _):
        labels = await bring_up_to_date(connection, settings.partitions.days_ahead)
        for role in workers:
            await grant_worker(connection, role)
        for role in readers:
            await grant_reader(connection, role)
        return SchemaState(labels, len(await applied(connection)))


async def maintain_database(settings: Settings) -> int:
    """Do one round of maintenance, and return the number of partitions that were made.

    Raises:
        DatabaseError: The database cannot be used, or the role lacks the rights of a worker.
        SchemaMismatch: The schema does not fit this engine.
    """
    async with reach(settings) as (_, connection, _):
        await check_schema(connection)
        return await maintain(connection, settings.partitions.days_ahead)


async def check_database_schema(settings: Settings) -> SchemaState:
    """Return the state of the schema without changes.

    Raises:
        DatabaseError: If the database is unusable.
        SchemaMismatch: If this engine does not support the schema.
    """
    async with reach(settings) as (_, connection, _):
        await check_schema(connection)
        return SchemaState((), len(await applied(connection)))

"""Implementation of `delivery.connect`: database, schema check and background tasks."""

from __future__ import annotations

import asyncio
import logging
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

from delivery.clock import Clock
from delivery.engine.roles import RoleGroup
from delivery.engine.watch import DatabaseWatch
from delivery.errors import EmbeddedDatabaseError
from delivery.service.engine import Engine
from delivery.settings import Settings, load_settings
from delivery.store import workers
from delivery.store.driver.connection import connect as connect_once
from delivery.store.driver.connection import open_pool
from delivery.store.migrate import MIGRATION_TIMEOUT, check_schema

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from delivery.embedded.server import EmbeddedDatabase
    from delivery.http.transport_choice import AnyTransport

__all__ = ["connect"]

logger = logging.getLogger(__name__)

_LOOK_AFTER_EMBEDDED: Final = 3.0
"""Seconds between two checks of the embedded server."""


@asynccontextmanager
async def connect(
    dsn: str | None = None,
    *,
    settings: Settings | None = None,
    config: Path | str | None = None,
    transport: AnyTransport | None = None,
    migrate: bool | None = None,
    **sections: Any,
) -> AsyncIterator[Engine]:
    """Connect to the database and yield the engine.

    This writes nothing, so a read-only role can connect.

    Args:
        dsn: PostgreSQL to use, as `postgresql://user:password@host:5432/database`. Default: the
            setting `database.url`, or else an embedded PostgreSQL in the user's data directory.
        settings: Complete settings. Default: read from `config`, the environment and `sections`.
        config: TOML file of settings. Default: the file that `DELIVERY_CONFIG` names, if any.
        transport: Any `httpx.AsyncBaseTransport` for the HTTP calls, in place of the built-in
            transport. The caller closes it.
        migrate: True to migrate the schema and create the partitions of the next days. Default:
            only for an embedded database.
        sections: Settings by section, such as `http={"timeout": 5}`.

    Raises:
        InvalidSetting: If a setting is unknown or out of range.
        DatabaseUnavailable: If the connection fails.
        DatabaseError: If the database is unusable for another reason; see `delivery.errors`.
        EmbeddedDatabaseError: If the embedded PostgreSQL does not start.
        SchemaMismatch: If the schema is missing, older than this engine, or too new for it.
    """
    if settings is None:
        settings = load_settings(config, **_with_url(sections, dsn))
    async with AsyncExitStack() as stack:
        url = dsn or settings.database.url
        if url is None:
            from delivery.embedded.server import start_embedded

            embedded = await start_embedded(settings.database.embedded_directory)
            stack.push_async_callback(embedded.close)
            await stack.enter_async_context(_kept_running(embedded))
            url = embedded.url
            settings = settings.with_key(embedded.encryption_key)
            migrate = True if migrate is None else migrate
        if settings.http.allowed_hosts:
            from delivery.http.transport_choice import guard_for

            # Reports a wrong name here, not at the first call.
            guard_for(settings.http)
        if migrate:
            await _bring_up_to_date(url, settings)
        pool = await open_pool(settings, url)
        stack.push_async_callback(pool.close)
        if not migrate:
            async with pool.acquire() as connection:
                await check_schema(connection)
        clock = Clock()
        await workers.synchronise(pool, clock)
        closing = await stack.enter_async_context(AsyncExitStack())
        engine = Engine(pool, url, settings, clock, transport, closing)
        watch = DatabaseWatch(pool, clock, days_ahead=settings.partitions.days_ahead)
        async with RoleGroup() as roles:
            roles.start("database watch", watch.run)
            yield engine


@asynccontextmanager
async def _kept_running(embedded: EmbeddedDatabase) -> AsyncIterator[None]:
    """Restart the embedded server if it dies during the block."""
    ending = asyncio.Event()

    async def keep() -> None:
        while not ending.is_set():
            try:
                async with asyncio.timeout(_LOOK_AFTER_EMBEDDED):
                    await ending.wait()
            except TimeoutError:
                try:
                    await asyncio.to_thread(embedded.open)
                except EmbeddedDatabaseError as error:
                    logger.warning("the embedded PostgreSQL cannot be restarted: %s", error)

    keeping = asyncio.create_task(keep())
    try:
        yield
    finally:
        # Not canceled: a thread cannot be, and it must not start the server after the block.
        ending.set()
        await keeping


async def _bring_up_to_date(url: str, settings: Settings) -> None:
    from delivery.service.database import bring_up_to_date

    connection = await connect_once(
        url,
        settings.database.connect_timeout,
        statement_cache_size=settings.database.statement_cache_size,
        statement_timeout=MIGRATION_TIMEOUT,
    )
    try:
        for name in await bring_up_to_date(connection, settings.partitions.days_ahead):
            logger.info("applied migration %s", name)
    finally:
        await connection.close()


def _with_url(sections: dict[str, Any], dsn: str | None) -> dict[str, Any]:
    if dsn is None:
        return sections
    return {**sections, "database": {**sections.get("database", {}), "url": dsn}}

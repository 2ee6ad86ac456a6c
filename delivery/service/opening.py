"""Opens the engine: its database, brought up to date or checked, and what runs beside it."""

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
"""Seconds between two looks whether the embedded server runs."""


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
    """Open the engine. That writes nothing, so a role that may only read can do it.

    Args:
        dsn: PostgreSQL to use, as `postgresql://user:password@host:5432/database`. None: what the
            settings say, and if they say nothing, an embedded PostgreSQL in the user's data
            directory.
        settings: Settings to use as they are; None: they are read from `config`, the environment
            and `sections`.
        config: A TOML file of settings; None: the one that `DELIVERY_CONFIG` names, if any.
        transport: Makes the HTTP calls instead of the engine's own transport; any
            `httpx.AsyncBaseTransport` will do. The caller closes it.
        migrate: Whether to bring the schema up to date, and make the partitions of the days ahead;
            None: only in an embedded database.
        sections: Settings by section, such as `http={"timeout": 5}`.

    Raises:
        InvalidSetting: if a setting is unknown or out of range.
        DatabaseUnavailable: if no connection can be made.
        DatabaseError: if the database cannot be used for another reason; see `delivery.errors`.
        EmbeddedDatabaseError: if the embedded PostgreSQL cannot be started.
        SchemaMismatch: if the schema is missing, older or newer than this engine.
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
            settings = settings.with_key(embedded.sealing_key)
            migrate = True if migrate is None else migrate
        if settings.http.allowed_hosts:
            from delivery.http.transport_choice import guard_for

            # Reports a wrong name now, not when the first call is made.
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
    """While the block lasts, start the embedded server again should it die."""
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
                    logger.warning("the embedded PostgreSQL cannot be kept running: %s", error)

    keeping = asyncio.create_task(keep())
    try:
        yield
    finally:
        # Not cancelled: a thread cannot be, and must not start the server after the end.
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

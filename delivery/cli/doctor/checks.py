"""The checks of settings, database, schema, clock and notifications."""

from __future__ import annotations

import asyncio
import secrets
import time
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Final

from delivery.cli.doctor.findings import Finding, Verdict
from delivery.cli.options import name_database
from delivery.clock import Clock
from delivery.errors import DeliveryError, SchemaMismatch
from delivery.store.connection import connect
from delivery.store.embedded import start_embedded
from delivery.store.migrate import OLDEST_SERVER, applied, check_schema, migrate
from delivery.store.notifications import listening, send
from delivery.store.workers import synchronise

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from delivery.settings import Settings
    from delivery.store.connection import Connection

__all__ = ["check_clock", "check_database", "check_notifications", "check_schema_version", "reach"]

_NOTIFICATION_TIMEOUT: Final = 3.0
_NOTICEABLE_SKEW: Final = 1.0
_TOLERATED_SKEW: Final = 60.0
"""Receivers refuse signatures that are more than five minutes old or new."""


@asynccontextmanager
async def reach(settings: Settings) -> AsyncIterator[tuple[str, Connection]]:
    """The database's URL and a connection to it; the embedded one is started and migrated.

    Raises:
        DeliveryError: if it cannot be used.
    """
    async with AsyncExitStack() as stack:
        url = settings.database.url
        if url is None:
            embedded = await start_embedded(settings.database.embedded_directory)
            stack.push_async_callback(embedded.close)
            url = embedded.url
        connection = await connect(url, settings.database.connect_timeout)
        stack.push_async_callback(connection.close)
        if settings.database.url is None:
            await migrate(connection)
        yield url, connection


async def check_database(settings: Settings, connection: Connection) -> Finding:
    """Whether the server is recent enough."""
    version = connection.get_server_version()
    name = f"PostgreSQL {version.major}.{version.minor}, {name_database(settings)}"
    if version.major < OLDEST_SERVER:
        advice = f"upgrade the server to PostgreSQL {OLDEST_SERVER} or later"
        return Finding("database", Verdict.FAILED, name, advice)
    return Finding("database", Verdict.OK, name)


async def check_schema_version(connection: Connection) -> Finding:
    """Whether the schema is the one this engine works with."""
    try:
        await check_schema(connection)
    except SchemaMismatch as error:
        problem, _, advice = str(error).rpartition("; ")
        return Finding("schema", Verdict.FAILED, problem or advice, advice if problem else None)
    return Finding("schema", Verdict.OK, f"version {len(await applied(connection))}")


async def check_clock(connection: Connection) -> Finding:
    """How far this machine's clock is from the database's, which the engine goes by."""
    clock = Clock()
    started = time.perf_counter()
    await synchronise(connection, clock)
    trip = time.perf_counter() - started
    skew = abs(clock.offset)
    # An offset measured over a network errs by up to half the round trip.
    if skew <= _NOTICEABLE_SKEW + trip / 2:
        return Finding("clock", Verdict.OK, f"{skew * 1000:.0f} ms from the database's")
    side = "behind" if clock.offset > 0 else "ahead of"
    detail = f"{skew:.1f} s {side} the database's, which deliveries go by"
    if skew <= _TOLERATED_SKEW:
        return Finding("clock", Verdict.WARNING, detail, "set both by NTP")
    advice = "set both by NTP: receivers refuse signatures that are minutes old or new"
    return Finding("clock", Verdict.FAILED, detail, advice)


async def check_notifications(url: str, connection: Connection, settings: Settings) -> Finding:
    """Whether a notification from one connection reaches another."""
    name = "notifications"
    if not settings.worker.notifications:
        return Finding(name, Verdict.SKIPPED, "off (worker.notifications); polling is enough")
    sent = f"doctor {secrets.token_hex(8)}"
    heard = asyncio.Event()

    def listener(text: str) -> None:
        if text == sent:
            heard.set()

    started = time.perf_counter()
    try:
        timeout = settings.database.connect_timeout
        async with (
            listening(url, listener, timeout=timeout),
            asyncio.timeout(_NOTIFICATION_TIMEOUT),
        ):
            await send(connection, sent, timeout=_NOTIFICATION_TIMEOUT)
            await heard.wait()
    except TimeoutError:
        return Finding(
            name,
            Verdict.FAILED,
            f"one that was sent did not arrive within {_NOTIFICATION_TIMEOUT:g} s",
            "behind PgBouncer in transaction mode, set worker.notifications=false",
        )
    except DeliveryError as error:
        return Finding(name, Verdict.FAILED, str(error))
    return Finding(name, Verdict.OK, f"arrive in {(time.perf_counter() - started) * 1000:.0f} ms")

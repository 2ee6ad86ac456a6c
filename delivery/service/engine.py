"""The engine as its users hold it: opened by `connect`, with everything else reached from it."""

from __future__ import annotations

import asyncio
import logging
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

from delivery.clock import Clock, IdFactory
from delivery.engine.fan_out import FanOutWriter
from delivery.engine.watch import DatabaseWatch
from delivery.errors import EmbeddedDatabaseError
from delivery.http.transport_choice import open_transport
from delivery.queue.wakeups import Waker
from delivery.service.database import bring_up_to_date
from delivery.service.finished_jobs import FinishedJobs
from delivery.service.ids import Ids
from delivery.service.jobs import Jobs
from delivery.service.logs import Logs
from delivery.service.process_tuning import allow_open_files, collect_less_often
from delivery.service.reactions import Reactions
from delivery.service.secrets import Secrets, apply_redaction, cipher_for
from delivery.service.stopping import when_told_to_stop
from delivery.service.triggers import TriggerRequest, Triggers
from delivery.service.wait_reasons import Delays
from delivery.settings import Settings, load_settings
from delivery.store import workers
from delivery.store.driver.connection import connect as connect_once
from delivery.store.driver.connection import open_pool
from delivery.store.ids import DriverUUID
from delivery.store.migrate import MIGRATION_TIMEOUT, check_schema
from delivery.version import VERSION

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable
    from datetime import datetime, timedelta
    from pathlib import Path

    from delivery.embedded.server import EmbeddedDatabase
    from delivery.engine.worker import Worker
    from delivery.http.transport import Transport
    from delivery.http.transport_choice import AnyTransport
    from delivery.models import Trigger
    from delivery.store.driver.connection import Pool

__all__ = ["Engine", "connect"]

logger = logging.getLogger(__name__)

_LOOK_AFTER_EMBEDDED: Final = 3.0
"""Seconds between two looks whether the embedded server runs."""


class Engine:
    """One connection to the engine's database, with the verbs; made by `delivery.connect`.

    Attributes:
        settings: The settings it runs by.
        database_url: The database it uses; contains the password, if there is one.
        reactions: What is to be done about triggers.
        triggers: What happened; made by `trigger` and `trigger_many`.
        jobs: The calls to make, and direct jobs.
        logs: Every exchange.
        secrets: What is encrypted in the database.
        ids: Finds ids by their first or last digits.
    """

    def __init__(
        self, pool: Pool, url: str, settings: Settings, clock: Clock, transport: Transport
    ) -> None:
        ids = IdFactory(clock, DriverUUID)
        self._pool = pool
        self._clock = clock
        self._ids = ids
        self._transport = transport
        self._waker = Waker(pool, notifications=settings.worker.notifications)
        self._finished = FinishedJobs()
        self.settings = settings
        self.database_url = url
        apply_redaction(settings, url)
        self._cipher = cipher_for(settings)
        self.reactions = Reactions(pool, clock, ids, self._cipher, settings, transport)
        fan_out = FanOutWriter(pool, ids, self._waker)
        finished = self._finished
        self._delays = delays = Delays(pool, clock, settings)
        self.triggers = Triggers(pool, clock, fan_out, finished, delays, self._cipher, settings)
        self.jobs = Jobs(pool, clock, ids, self._waker, finished, delays, self._cipher, settings)
        self.ids = Ids(pool)
        self.secrets = Secrets(pool, self._cipher)
        self.logs = Logs(pool, clock, settings)

    async def trigger(
        self,
        type: str,  # noqa: A002 - the field's name
        payload: Any,
        *,
        tenant_id: str = "default",
        user_id: str | None = None,
        run_at: datetime | None = None,
        delay: float | timedelta | None = None,
        priority: int | None = None,
        deadline: datetime | None = None,
        connection: Any = None,
    ) -> Trigger:
        """Write a trigger and one job per matching reaction, in one transaction.

        Args:
            type: A dotted name, such as `order.paid`.
            payload: A JSON value; or JSON text as bytes, which is delivered byte for byte.
            tenant_id: Whose it is; only this tenant's reactions match.
            user_id: Whom the jobs are for; for the caller's own use.
            run_at: When the calls are to be made first; by default now.
            delay: The same as seconds from now.
            priority: Overrides the reactions' own; lower first within a reaction.
            deadline: When it is too late for another attempt.
            connection: The caller's own asyncpg connection, or SQLAlchemy session on asyncpg, with
                an open transaction: the trigger is written on it, and comes into being with its
                commit.

        Returns:
            The trigger, with the ids of its jobs in the order of the reactions.

        Raises:
            InvalidInput: if a value cannot be used; nothing is written.
            NoTransaction: if `connection` has no open transaction.
            DatabaseError: if the database fails. After `ConnectionLost`, `StatementTimeout` and
                `DatabaseRestarting` it is unknown whether the trigger was written.
            UnusableConnection: if `connection` is closed, failed or leads to another database.
        """
        request = TriggerRequest(
            type, payload, user_id, run_at, delay, priority=priority, deadline=deadline
        )
        written = await self.trigger_many([request], tenant_id=tenant_id, connection=connection)
        return written[0]

    async def trigger_many(
        self,
        requests: Iterable[TriggerRequest],
        *,
        tenant_id: str = "default",
        connection: Any = None,
    ) -> list[Trigger]:
        """Write many triggers and their jobs, all or none, in a few round trips; see `trigger`."""
        return await self.triggers.create_many(requests, tenant_id=tenant_id, connection=connection)

    async def living_workers(self) -> int:
        """Count the workers that are running on this database, in this process or elsewhere."""
        return await self._delays.living_workers()

    @asynccontextmanager
    async def workers(self) -> AsyncIterator[Worker]:
        """Deliver in this process while the block lasts; then stop gracefully.

        At the end of the block nothing more is claimed, calls in flight are given
        `worker.shutdown_timeout` seconds, and the rest goes back to the queue.

        Raises:
            MissingKey: if secrets of reactions are encrypted, and none of them with a key of ours.
        """
        # Programs that only write or read do not pay for what makes the calls.
        from delivery.engine.worker import Worker  # noqa: PLC0415

        await self.secrets.check()
        worker = Worker(
            self._pool,
            self.database_url,
            self.settings,
            self._clock,
            self._ids,
            self._transport,
            self._waker,
            VERSION,
            self._finished.settled,
            self._cipher,
        )
        async with worker.running():
            yield worker

    async def run(self) -> None:
        """Deliver until SIGTERM or SIGINT, then stop gracefully; a second signal stops at once.

        For a process that does nothing else: it also lets Python's garbage collector run less
        often, and raises the limit of open files as far as the user may.
        """
        collect_less_often()
        allow_open_files()
        asked = asyncio.Event()
        # Outside of the block: a second signal counts until the last call has ended.
        with ExitStack() as told:
            async with self.workers() as worker:

                def stop() -> None:
                    if asked.is_set():
                        logger.warning("stopping at once: calls in flight are cut off")
                        worker.stop_at_once()
                    else:
                        logger.info("stopping: calls in flight are given time to end")
                    asked.set()

                told.enter_context(when_told_to_stop(stop))
                try:
                    await asked.wait()
                except BaseException:
                    # Whoever cancels this hears the signals, and may want to stop at once.
                    told.close()
                    raise


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
            from delivery.embedded.server import start_embedded  # noqa: PLC0415

            embedded = await start_embedded(settings.database.embedded_directory)
            stack.push_async_callback(embedded.close)
            await stack.enter_async_context(_kept_running(embedded))
            url = embedded.url
            settings = settings.with_key(embedded.encryption_key)
            migrate = True if migrate is None else migrate
        await _prepare_schema(url, settings, migrate=bool(migrate))
        pool = await open_pool(settings, url)
        stack.push_async_callback(pool.close)
        clock = Clock()
        await workers.synchronise(pool, clock)
        opened = await stack.enter_async_context(
            open_transport(settings.http, transport, settings.database.pool_size)
        )
        engine = Engine(pool, url, settings, clock, opened)
        watch = DatabaseWatch(pool, clock, days_ahead=settings.partitions.days_ahead)
        watching = asyncio.create_task(watch.run())
        try:
            yield engine
        finally:
            watching.cancel()
            await asyncio.wait([watching])
            await engine._waker.aclose()  # noqa: SLF001 - its own module


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


async def _prepare_schema(url: str, settings: Settings, *, migrate: bool) -> None:
    connection = await connect_once(
        url,
        settings.database.connect_timeout,
        statement_cache_size=settings.database.statement_cache_size,
        statement_timeout=MIGRATION_TIMEOUT if migrate else settings.database.statement_timeout,
    )
    try:
        if migrate:
            for name in await bring_up_to_date(connection, settings.partitions.days_ahead):
                logger.info("applied migration %s", name)
        else:
            await check_schema(connection)
    finally:
        await connection.close()


def _with_url(sections: dict[str, Any], dsn: str | None) -> dict[str, Any]:
    if dsn is None:
        return sections
    return {**sections, "database": {**sections.get("database", {}), "url": dsn}}

"""The `Engine` object that `delivery.connect` yields."""

from __future__ import annotations

import asyncio
import logging
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

from delivery.clock import Clock, IdFactory
from delivery.service.secret_settings import apply_redaction, cipher_for
from delivery.service.trigger_request import TriggerRequest
from delivery.store.ids import DriverUUID
from delivery.version import VERSION

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable
    from datetime import datetime, timedelta

    from delivery.engine.events import EventBus
    from delivery.engine.worker import Worker
    from delivery.http.transport import Transport
    from delivery.http.transport_choice import AnyTransport
    from delivery.models import Trigger
    from delivery.queue.wakeups import Waker
    from delivery.service.direct_jobs import DirectJobs
    from delivery.service.finished_jobs import FinishedJobs
    from delivery.service.ids import Ids
    from delivery.service.jobs import Jobs
    from delivery.service.logs import Logs
    from delivery.service.previews import Previews
    from delivery.service.reaction_writer import ReactionWriter
    from delivery.service.reactions import Reactions
    from delivery.service.secrets import Secrets
    from delivery.service.trigger_writer import TriggerWriter
    from delivery.service.triggers import Triggers
    from delivery.service.wait_reasons import Delays
    from delivery.settings import Settings
    from delivery.store.driver.connection import Pool

__all__ = ["Engine"]

E = TypeVar("E")

logger = logging.getLogger(__name__)


class Engine:
    """Entry point of the library, connected to one database; yielded by `delivery.connect`.

    Each part is imported and created on first use, so that a program that only reads does not load
    the parts that write and deliver.

    Attributes:
        settings: Settings in use.
        database_url: URL of the database, including the password.
    """

    def __init__(
        self,
        pool: Pool,
        url: str,
        settings: Settings,
        clock: Clock,
        transport: AnyTransport | None,
        closing: AsyncExitStack,
    ) -> None:
        self._pool = pool
        self._clock = clock
        self._ids = IdFactory(clock, DriverUUID)
        self._given_transport = transport
        self._closing = closing
        """Resources to close, created on first use."""
        self.settings = settings
        self.database_url = url
        apply_redaction(settings, url)
        self._cipher = cipher_for(settings)

    @cached_property
    def reactions(self) -> Reactions:
        """Reactions (webhook endpoints)."""
        from delivery.service.reactions import Reactions

        return Reactions(
            self._pool, self._cipher, lambda: self._reaction_writer, lambda: self._previews
        )

    @cached_property
    def triggers(self) -> Triggers:
        """Triggers, created by `trigger` and `trigger_many`."""
        from delivery.service.triggers import Triggers

        return Triggers(
            self._pool, lambda: self._trigger_writer, self._finished, self._delays, self._cipher
        )

    @cached_property
    def jobs(self) -> Jobs:
        """Jobs, including direct ones."""
        from delivery.service.jobs import Jobs

        return Jobs(self._pool, lambda: self._direct_jobs, self._finished, self._delays)

    @cached_property
    def logs(self) -> Logs:
        """Delivery logs."""
        from delivery.service.logs import Logs

        return Logs(self._pool, self._clock, self.settings)

    @cached_property
    def secrets(self) -> Secrets:
        """Encrypted secrets of the database."""
        from delivery.service.secrets import Secrets

        return Secrets(self._pool, self._cipher)

    @cached_property
    def ids(self) -> Ids:
        """Lookup of ids by their first or last digits."""
        from delivery.service.ids import Ids

        return Ids(self._pool)

    @cached_property
    def _reaction_writer(self) -> ReactionWriter:
        from delivery.service.reaction_writer import ReactionWriter

        return ReactionWriter(self._pool, self._clock, self._ids, self._cipher, self.settings)

    @cached_property
    def _previews(self) -> Previews:
        from delivery.service.previews import Previews

        return Previews(
            self._pool, self._clock, self._ids, self._cipher, self.settings, self._transport
        )

    @cached_property
    def _trigger_writer(self) -> TriggerWriter:
        from delivery.engine.fan_out import FanOutWriter
        from delivery.service.trigger_writer import TriggerWriter

        fan_out = FanOutWriter(self._pool, self._ids, self._waker)
        return TriggerWriter(self._pool, self._clock, fan_out, self._cipher, self.settings)

    @cached_property
    def _direct_jobs(self) -> DirectJobs:
        from delivery.service.direct_jobs import DirectJobs

        return DirectJobs(
            self._pool, self._clock, self._ids, self._waker, self._cipher, self.settings
        )

    @cached_property
    def _delays(self) -> Delays:
        from delivery.service.wait_reasons import Delays

        return Delays(self._pool, self._clock, self.settings)

    @cached_property
    def _finished(self) -> FinishedJobs:
        from delivery.service.finished_jobs import FinishedJobs

        return FinishedJobs()

    @cached_property
    def _events(self) -> EventBus:
        from delivery.engine.events import EventBus

        events = EventBus()
        self._closing.push_async_callback(events.aclose)
        return events

    @cached_property
    def _waker(self) -> Waker:
        from delivery.queue.wakeups import Waker

        waker = Waker(self._pool, notifications=self.settings.worker.notifications)
        self._closing.push_async_callback(waker.aclose)
        return waker

    @cached_property
    def _transport(self) -> Transport:
        from delivery.http.transport_choice import transport_for

        reserved_files = self.settings.database.pool_size
        opened = transport_for(self.settings.http, self._given_transport, reserved_files)
        if self._given_transport is None:
            self._closing.push_async_callback(opened.aclose)
        return opened

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
            type: Event type, a dotted name such as `order.paid`.
            payload: JSON value, or JSON text as bytes, which is delivered byte for byte.
            tenant_id: Tenant of the trigger. Only reactions of this tenant match.
            user_id: User of the jobs, for filters of the caller.
            run_at: Time of the first attempt. Default: immediately.
            delay: Alternative to `run_at`, as seconds from now.
            priority: Priority within a reaction, lower first. Default: the reaction's priority.
            deadline: Time after which no attempt starts.
            connection: asyncpg connection, or SQLAlchemy session on asyncpg, with an open
                transaction. The trigger is part of this transaction.

        Returns:
            The trigger with the ids of its jobs, in the order of the reactions.

        Raises:
            InvalidInput: If a value is invalid; nothing is written.
            NoTransaction: If `connection` has no open transaction.
            DatabaseError: If the database fails. After `ConnectionLost`, `StatementTimeout` and
                `DatabaseRestarting` it is unknown whether the trigger was written.
            UnusableConnection: If `connection` is closed, failed or connected to another database.
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
        """Write many triggers and their jobs atomically, in a few round trips; see `trigger`."""
        return await self.triggers.create_many(requests, tenant_id=tenant_id, connection=connection)

    def on(self, event_type: type[E], listener: Callable[[E], object]) -> Callable[[], None]:
        """Call a listener with each event of a type that the workers of this process emit.

        An event is emitted after the fact and changes nothing. Listeners run on the event loop, so
        they must be quick. If a listener is asynchronous, its events wait for it one after the
        other; up to 1,000 may wait, and further ones are lost to it. An error of a listener is
        logged and has no other effect. Without listeners, events cost nothing.

        Args:
            event_type: `JobsSettled` or `ReactionHealthChanged`.
            listener: Function or coroutine function that receives the event.

        Returns:
            A function that ends the subscription.

        Raises:
            InvalidInput: The type is not one of these, or the listener cannot be called.
        """
        from delivery.engine.events import check_subscription

        check_subscription(event_type, listener)
        return self._events.on(event_type, listener)

    async def living_workers(self) -> int:
        """Count the running workers of this database, in all processes."""
        return await self._delays.living_workers()

    @asynccontextmanager
    async def workers(self) -> AsyncIterator[Worker]:
        """Run a worker in this process for the duration of the block.

        At the end of the block the worker stops claiming, waits up to `worker.shutdown_timeout`
        seconds for running calls, and returns the other jobs to the queue.

        Raises:
            MissingKey: If reactions have encrypted secrets and no key decrypts them.
        """
        from delivery.engine.events import ResultsWritten
        from delivery.engine.worker import Worker

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
            self._events,
            self._cipher,
        )
        unsubscribe = self._events.on(
            ResultsWritten, lambda event: self._finished.settled(event.results)
        )
        try:
            async with worker.running():
                yield worker
        finally:
            unsubscribe()

    async def run(self) -> None:
        """Run a worker until SIGTERM or SIGINT. A second signal stops it immediately.

        This is for dedicated processes: it also lowers the frequency of garbage collections, and
        raises the limit of open files to the maximum.
        """
        from delivery.service.process_tuning import allow_open_files, collect_less_often
        from delivery.service.stopping import when_told_to_stop

        collect_less_often()
        allow_open_files()
        asked = asyncio.Event()
        # Outside of the block, so that a second signal is handled until the last call ends.
        with ExitStack() as told:
            async with self.workers() as worker:

                def stop() -> None:
                    if asked.is_set():
                        logger.warning("stopping immediately; canceling running calls")
                        worker.stop_at_once()
                    else:
                        logger.info("stopping; waiting for running calls")
                    asked.set()

                told.enter_context(when_told_to_stop(stop))
                try:
                    await asked.wait()
                except BaseException:
                    # The canceling caller handles the signals, and can stop immediately.
                    told.close()
                    raise

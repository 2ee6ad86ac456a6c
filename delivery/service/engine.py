"""The engine as its users hold it, with everything else reached from it."""

from __future__ import annotations

import asyncio
import logging
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

from delivery.clock import Clock, IdFactory
from delivery.service.sealing import hide_by, sealer_for
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
    """One connection to the engine's database, with the verbs; made by `delivery.connect`.

    Each part is imported and made when it is first used, so a program that only reads does not pay
    for the parts that write and deliver.

    Attributes:
        settings: The settings it runs by.
        database_url: The database it uses; contains the password, if there is one.
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
        """Closes at the end what was made on first use."""
        self.settings = settings
        self.database_url = url
        hide_by(settings, url)
        self._sealer = sealer_for(settings)

    @cached_property
    def reactions(self) -> Reactions:
        """What is to be done about triggers."""
        from delivery.service.reactions import Reactions

        return Reactions(
            self._pool, self._sealer, lambda: self._reaction_writer, lambda: self._previews
        )

    @cached_property
    def triggers(self) -> Triggers:
        """What happened; made by `trigger` and `trigger_many`."""
        from delivery.service.triggers import Triggers

        return Triggers(
            self._pool, lambda: self._trigger_writer, self._finished, self._delays, self._sealer
        )

    @cached_property
    def jobs(self) -> Jobs:
        """The calls to make, and direct jobs."""
        from delivery.service.jobs import Jobs

        return Jobs(self._pool, lambda: self._direct_jobs, self._finished, self._delays)

    @cached_property
    def logs(self) -> Logs:
        """Every exchange."""
        from delivery.service.logs import Logs

        return Logs(self._pool, self._clock, self.settings)

    @cached_property
    def secrets(self) -> Secrets:
        """What is sealed in the database."""
        from delivery.service.secrets import Secrets

        return Secrets(self._pool, self._sealer)

    @cached_property
    def ids(self) -> Ids:
        """Finds ids by their first or last digits."""
        from delivery.service.ids import Ids

        return Ids(self._pool)

    @cached_property
    def _reaction_writer(self) -> ReactionWriter:
        from delivery.service.reaction_writer import ReactionWriter

        return ReactionWriter(self._pool, self._clock, self._ids, self._sealer, self.settings)

    @cached_property
    def _previews(self) -> Previews:
        from delivery.service.previews import Previews

        return Previews(
            self._pool, self._clock, self._ids, self._sealer, self.settings, self._transport
        )

    @cached_property
    def _trigger_writer(self) -> TriggerWriter:
        from delivery.engine.fan_out import FanOutWriter
        from delivery.service.trigger_writer import TriggerWriter

        fan_out = FanOutWriter(self._pool, self._ids, self._waker)
        return TriggerWriter(self._pool, self._clock, fan_out, self._sealer, self.settings)

    @cached_property
    def _direct_jobs(self) -> DirectJobs:
        from delivery.service.direct_jobs import DirectJobs

        return DirectJobs(
            self._pool, self._clock, self._ids, self._waker, self._sealer, self.settings
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
        """Count the workers that are running on this database, in this process or elsewhere."""
        return await self._delays.living_workers()

    @asynccontextmanager
    async def workers(self) -> AsyncIterator[Worker]:
        """Deliver in this process while the block lasts; then stop gracefully.

        At the end of the block nothing more is claimed, calls in flight are given
        `worker.shutdown_timeout` seconds, and the rest goes back to the queue.

        Raises:
            MissingKey: if secrets of reactions are sealed, and none of them with a key of ours.
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
            self._sealer,
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
        """Deliver until SIGTERM or SIGINT, then stop gracefully; a second signal stops at once.

        For a process that does nothing else: it also lets Python's garbage collector run less
        often, and raises the limit of open files as far as the user may.
        """
        from delivery.service.process_tuning import allow_open_files, collect_less_often
        from delivery.service.stopping import when_told_to_stop

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

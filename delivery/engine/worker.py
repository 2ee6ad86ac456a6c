"""One worker of this process: the roles wired together, started, and stopped gracefully."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

from delivery.engine.announcements import Announcements
from delivery.engine.concurrency_limit import within_files
from delivery.engine.endpoint_health import EndpointHealthTracker, rules_of
from delivery.engine.events import (
    EventBus,
    LanePaused,
    LanesLimited,
    LeasesConfirmed,
    ResultsWritten,
)
from delivery.engine.executor import Executor
from delivery.engine.heartbeat import Heartbeat
from delivery.engine.intake import Intake
from delivery.engine.lease_audit import LeaseAudit
from delivery.engine.maintenance import Maintenance
from delivery.engine.operational_triggers import Announcer
from delivery.engine.reaper import Reaper
from delivery.engine.runners.http import HttpRunner
from delivery.engine.runners.prepared_calls import PreparedCalls
from delivery.engine.settling.disabling import Disabling
from delivery.engine.settling.settler import Settler
from delivery.engine.settling.writer import SettleWriter
from delivery.http.open_files import current_shares
from delivery.queue.consumer import JobConsumer
from delivery.queue.held_leases import HeldLeases
from delivery.queue.listener import Listener
from delivery.store import workers
from delivery.store.driver.failures import CONNECTION_ERRORS
from delivery.store.workers import WorkerIdentity

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from delivery.clock import Clock, IdFactory
    from delivery.http.transport import Transport
    from delivery.message.storage.encryption import Sealer
    from delivery.queue.wakeups import Waker
    from delivery.settings import Settings
    from delivery.store.driver.connection import Pool

__all__ = ["Worker"]

logger = logging.getLogger(__name__)

_RESTART_PAUSE: Final = 1.0
_FIRST_ROUND: Final = 5.0
"""Seconds that the start waits for partitions to be made."""
_OTHER_SESSIONS: Final = 2
"""Database sessions beyond `database.pool_size`: one for notifications, one for heartbeats."""
_LAST_CLAIM: Final = 5.0
"""Seconds that a claim under way is given when the worker stops."""
_LAST_WRITE: Final = 3.0
"""Seconds at least for writing the last results."""
_SIGN_OFF: Final = 1.0
_HURRY: Final = 0.5
"""Seconds for each of these once the worker is to stop at once."""


class Worker:
    """Claims, calls and settles until stopped.

    Args:
        pool: The database.
        url: The same, for the connection that listens.
        events: Event bus of the engine.
        sealer: Opens what is secret in the calls.
    """

    def __init__(
        self,
        pool: Pool,
        url: str,
        settings: Settings,
        clock: Clock,
        ids: IdFactory,
        transport: Transport,
        waker: Waker,
        version: str,
        events: EventBus,
        sealer: Sealer,
    ) -> None:
        reserved = settings.database.pool_size + _OTHER_SESSIONS
        worker = within_files(settings.worker, current_shares(reserved))
        settings = settings.model_copy(update={"worker": worker})
        self._pool = pool
        self._settings = settings
        self._waker = waker
        self._events = EventBus(events)
        self.id = ids.new()
        self._held = HeldLeases()
        self._telling = Announcements(pool, Announcer(pool, ids, waker, self._events))
        self._consumer = JobConsumer(pool, self.id, clock, ids, self._held, worker)
        self._health = EndpointHealthTracker(
            pool, clock, rules_of(settings.health), self._telling, self._events
        )
        self._disabling = Disabling(self._telling)
        self._settler = self._own_settler(clock)
        self._heartbeat = self._own_heartbeat(clock, version)
        self._executor = Executor(
            HttpRunner(transport, clock),
            self._settler,
            self._health,
            clock,
            ids,
            settings,
            may_start=self._heartbeat.held,
            on_begun=self._held.begun,
            on_finished=self._consumer.finished,
            on_room=self._consumer.check,
        )
        calls = PreparedCalls(pool, settings.http, sealer)
        self._intake = Intake(calls, self._executor, self._settler, self._consumer, clock)
        self._consumer.connect(self._intake, self._executor, self._settler)
        self._reaper = self._own_reaper(clock, ids)
        self._keeper = Maintenance(pool, days_ahead=settings.partitions.days_ahead)
        self._audit = LeaseAudit(
            pool,
            self.id,
            self._held,
            self._consumer,
            self._intake,
            self._executor,
            self._settler,
            self._reaper,
            self._events,
        )
        self._subscribe()
        self._stop_timeout = worker.shutdown_timeout
        self._hurry = asyncio.Event()
        self._roles = self._roles_beside(url)
        """What runs beside claiming, calling and settling, until the end."""

    def _own_heartbeat(self, clock: Clock, version: str) -> Heartbeat:
        worker = self._settings.worker
        return Heartbeat(
            self._pool,
            WorkerIdentity(self.id, socket.gethostname(), os.getpid(), version),
            clock,
            interval=worker.heartbeat_interval,
            dead_after=worker.dead_after,
            after_beat=self._after_beat,
            events=self._events,
        )

    def _own_settler(self, clock: Clock) -> Settler:
        return Settler(
            self._pool,
            clock,
            self._held,
            SettleWriter(self._pool, self.id, self._held, self._telling),
            self._disabling,
            self._events,
        )

    def _own_reaper(self, clock: Clock, ids: IdFactory) -> Reaper:
        worker = self._settings.worker
        return Reaper(
            self._pool,
            self.id,
            clock,
            ids,
            self._telling,
            self._events,
            interval=min(worker.heartbeat_interval, worker.dead_after / 4),
            dead_after=worker.dead_after,
            max_stalls=worker.max_stalls,
        )

    def _roles_beside(self, url: str) -> list[Callable[[], Awaitable[None]]]:
        roles: list[Callable[[], Awaitable[None]]] = [
            self._heartbeat.run,
            self._audit.run,
            self._reaper.run,
            self._keeper.run,
            self._consumer.sweeper.run,
            self._health.run,
            self._telling.run,
            self._disabling.run,
        ]
        if self._settings.worker.notifications:
            listener = Listener(
                url,
                self._consumer,
                own=self._waker.source,
                connect_timeout=self._settings.database.connect_timeout,
            )
            roles.append(listener.run)
        return roles

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Worker]:
        """Work within the block; at its end stop claiming, wait for calls, and hand the rest back.

        Raises:
            DatabaseError: if the worker cannot be registered.
        """
        await self._heartbeat.beat()
        await self._make_partitions()
        claiming = asyncio.create_task(_kept_running(self._consumer.run))
        settling = asyncio.create_task(_kept_running(self._settler.run))
        keeping = [asyncio.create_task(_kept_running(role)) for role in self._roles]
        self._waker.subscribe(self._consumer)
        try:
            yield self
        finally:
            self._waker.unsubscribe(self._consumer)
            await self._stop(claiming, settling, keeping)

    async def _make_partitions(self) -> None:
        """Make missing partitions before the first result needs them, if that can be done soon."""
        try:
            async with asyncio.timeout(_FIRST_ROUND):
                await self._keeper.round()
        except TimeoutError:
            logger.warning("partitions could not be made within %.0f s", _FIRST_ROUND)

    def stop_at_once(self) -> None:
        """Give running calls no more time: with this, leaving `running` cuts them off."""
        self._stop_timeout = 0.0
        self._hurry.set()
        self._executor.cut_off()

    async def _stop(
        self,
        claiming: asyncio.Task[None],
        settling: asyncio.Task[None],
        keeping: list[asyncio.Task[None]],
    ) -> None:
        """Stop in good order, in a time that does not depend on the database."""
        began = time.monotonic()
        self._consumer.stop()
        await self._for_a_while(claiming, _LAST_CLAIM)
        await _end(claiming)
        # The claim has used up some of the time.
        await self._executor.stop(max(self._stop_timeout - (time.monotonic() - began), 0.0))
        rest = began + self._stop_timeout - time.monotonic()
        writing = asyncio.create_task(self._settler.drained())
        if not await self._for_a_while(writing, max(rest, _LAST_WRITE)):
            logger.critical(
                "%d results could not be written before the worker stopped; their jobs run again",
                self._settler.unwritten,
            )
        await _end(writing, settling, *keeping)
        removing = asyncio.create_task(self._sign_off())
        if not await self._for_a_while(removing, _SIGN_OFF):
            logger.warning("the worker could not be signed off in time and will be reaped")
        await _end(removing)

    async def _for_a_while(self, task: asyncio.Task[None], seconds: float) -> bool:
        """Wait for a task, but not long if the worker is to stop at once; whether it has ended."""
        hurried = asyncio.create_task(self._hurry.wait())
        waiting: set[asyncio.Task[Any]] = {task, hurried}
        await asyncio.wait(waiting, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        hurried.cancel()
        if not task.done() and self._hurry.is_set():
            await asyncio.wait([task], timeout=_HURRY)
        return task.done()

    async def _sign_off(self) -> None:
        try:
            await workers.remove(self._pool, self.id)
        except CONNECTION_ERRORS as error:
            logger.warning("the worker could not be signed off and will be reaped: %s", error)

    def _subscribe(self) -> None:
        events, consumer = self._events, self._consumer
        events.on(ResultsWritten, lambda event: consumer.settled(event.results))
        events.on(ResultsWritten, lambda event: self._health.heal(event.healing))
        events.on(LanesLimited, lambda event: consumer.limit_lanes(event.lanes))
        events.on(LanePaused, lambda event: consumer.pause_lane(event.lane, event.seconds))
        events.on(LeasesConfirmed, lambda _: self._executor.start_waiting())

    async def _after_beat(self) -> None:
        self._settler.try_again()
        await self._audit.look()


async def _kept_running(role: Callable[[], Awaitable[None]]) -> None:
    """Run a role until it ends; start it again after an error it should have handled itself."""
    while True:
        try:
            await role()
        except Exception:
            logger.exception("a part of the worker failed and is started again")
            await asyncio.sleep(_RESTART_PAUSE)
        else:
            return


async def _end(*tasks: asyncio.Task[None]) -> None:
    """Cancel tasks and wait for their end, which no statement holds up."""
    for task in tasks:
        task.cancel()
    _, late = await asyncio.wait(tasks, timeout=_LAST_CLAIM)
    for task in late:
        logger.critical("a part of the worker does not end: %r", task)

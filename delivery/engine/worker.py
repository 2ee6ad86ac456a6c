"""A worker of this process: its parts and roles, their start, and their graceful end."""

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
from delivery.engine.operational_triggers import OperationalTriggers
from delivery.engine.reaper import Reaper
from delivery.engine.roles import RoleGroup
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
    from collections.abc import AsyncIterator

    from delivery.clock import Clock, IdFactory
    from delivery.http.transport import Transport
    from delivery.message.storage.encryption import Cipher
    from delivery.queue.wakeups import Waker
    from delivery.settings import Settings
    from delivery.store.driver.connection import Pool

__all__ = ["Worker"]

logger = logging.getLogger(__name__)

_FIRST_ROUND: Final = 5.0
"""Seconds that the start waits for missing partitions to be made."""
_OTHER_SESSIONS: Final = 2
"""Database sessions beyond `database.pool_size`: one for notifications, one for heartbeats."""
_LAST_CLAIM: Final = 5.0
"""Seconds that a claim under way has when the worker stops."""
_LAST_WRITE: Final = 3.0
"""Minimum number of seconds for writing the last results."""
_SIGN_OFF: Final = 1.0
"""Seconds for removing the row of the worker."""
_HURRY: Final = 0.5
"""Seconds for each of these steps when the worker must stop immediately."""


class Worker:
    """Claims jobs, runs them, and settles them until stopped.

    Args:
        pool: Database.
        url: URL of the database, for the connection that listens.
        settings: Settings of the engine.
        clock: Clock of the database.
        ids: Makes ids.
        transport: Makes the HTTP exchanges.
        waker: Wakes this worker and others.
        version: Version of the engine, for the list of workers.
        events: Event bus of the engine.
        cipher: Decrypts secrets of calls.
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
        cipher: Cipher,
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
        self._announcements = Announcements(
            pool, OperationalTriggers(pool, ids, waker, self._events)
        )
        self._consumer = JobConsumer(pool, self.id, clock, ids, self._held, worker)
        self._health = EndpointHealthTracker(
            pool, clock, rules_of(settings.health), self._announcements, self._events
        )
        self._disabling = Disabling(self._announcements)
        self._settler = self._make_settler(clock)
        self._heartbeat = self._make_heartbeat(clock, version)
        self._executor = self._make_executor(transport, clock, ids)
        calls = PreparedCalls(pool, settings.http, cipher)
        self._intake = Intake(calls, self._executor, self._settler, self._consumer, clock)
        self._consumer.connect(self._intake, self._executor, self._settler)
        self._reaper = self._make_reaper(clock, ids)
        self._maintenance = Maintenance(pool, days_ahead=settings.partitions.days_ahead)
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
        self._url = url
        self._stop_timeout = worker.shutdown_timeout
        self._hurry = asyncio.Event()

    def _make_executor(self, transport: Transport, clock: Clock, ids: IdFactory) -> Executor:
        return Executor(
            HttpRunner(transport, clock),
            self._settler,
            self._health,
            clock,
            ids,
            self._settings,
            may_start=self._heartbeat.held,
            on_begun=self._held.begun,
            on_finished=self._consumer.finished,
            on_room=self._consumer.check,
        )

    def _make_heartbeat(self, clock: Clock, version: str) -> Heartbeat:
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

    def _make_settler(self, clock: Clock) -> Settler:
        return Settler(
            self._pool,
            clock,
            self._held,
            SettleWriter(self._pool, self.id, self._held, self._announcements),
            self._disabling,
            self._events,
        )

    def _make_reaper(self, clock: Clock, ids: IdFactory) -> Reaper:
        worker = self._settings.worker
        return Reaper(
            self._pool,
            self.id,
            clock,
            ids,
            self._announcements,
            self._events,
            interval=min(worker.heartbeat_interval, worker.dead_after / 4),
            dead_after=worker.dead_after,
            max_stalls=worker.max_stalls,
        )

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Worker]:
        """Work within the block; then stop claiming, wait for calls, and hand the rest back.

        Raises:
            DatabaseError: The worker cannot be registered.
        """
        await self._heartbeat.beat()
        await self._make_partitions()
        async with RoleGroup() as roles:
            self._start(roles)
            self._waker.subscribe(self._consumer)
            try:
                yield self
            finally:
                self._waker.unsubscribe(self._consumer)
                await self._stop(roles)

    def stop_at_once(self) -> None:
        """Cut off running calls, also while `running` waits for them at its end."""
        self._stop_timeout = 0.0
        self._hurry.set()
        self._executor.cut_off()

    def _start(self, roles: RoleGroup) -> None:
        roles.start("consumer", self._consumer.run)
        roles.start("sweeper", self._consumer.sweeper.run)
        roles.start("settler", self._settler.run)
        roles.start("heartbeat", self._heartbeat.run)
        roles.start("lease audit", self._audit.run)
        roles.start("reaper", self._reaper.run)
        roles.start("maintenance", self._maintenance.run)
        roles.start("endpoint health", self._health.run)
        roles.start("announcements", self._announcements.run)
        roles.start("disabling", self._disabling.run)
        if self._settings.worker.notifications:
            listener = Listener(
                self._url,
                self._consumer,
                own=self._waker.source,
                connect_timeout=self._settings.database.connect_timeout,
            )
            roles.start("listener", listener.run)

    async def _make_partitions(self) -> None:
        """Make missing partitions before the first result needs them, if that is quick."""
        try:
            async with asyncio.timeout(_FIRST_ROUND):
                await self._maintenance.round()
        except TimeoutError:
            logger.warning("cannot make partitions within %.0f s", _FIRST_ROUND)

    async def _stop(self, roles: RoleGroup) -> None:
        """Stop in good order, in a time that does not depend on the database."""
        began = time.monotonic()
        self._consumer.stop()
        await self._wait_for(roles.task("consumer"), _LAST_CLAIM)
        await roles.end("consumer")
        # The claim has used up some of the time.
        await self._executor.stop(max(self._stop_timeout - (time.monotonic() - began), 0.0))
        rest = began + self._stop_timeout - time.monotonic()
        writing = roles.start("last results", self._settler.drained)
        if not await self._wait_for(writing, max(rest, _LAST_WRITE)):
            logger.critical(
                "%d results could not be written before the worker stopped; their jobs run again",
                self._settler.unwritten,
            )
        await roles.end()
        signing_off = roles.start("sign-off", self._sign_off)
        if not await self._wait_for(signing_off, _SIGN_OFF):
            logger.warning("cannot remove the row of this worker in time; it will be reaped")

    async def _wait_for(self, task: asyncio.Task[None], seconds: float) -> bool:
        """Wait for a task, only briefly if the worker must stop immediately; return if it ended."""
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
            logger.warning("cannot remove the row of this worker; it will be reaped: %s", error)

    def _subscribe(self) -> None:
        events, consumer = self._events, self._consumer
        events.on(ResultsWritten, lambda event: consumer.settled(event.results))
        events.on(ResultsWritten, lambda event: self._health.heal(event.healing))
        events.on(LanesLimited, lambda event: consumer.limit_lanes(event.lanes))
        events.on(LanePaused, lambda event: consumer.pause_lane(event.lane, event.seconds))
        events.on(LeasesConfirmed, lambda _: self._executor.start_waiting())

    async def _after_beat(self) -> None:
        self._settler.try_again()
        await self._audit.compare()

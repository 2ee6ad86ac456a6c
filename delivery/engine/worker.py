"""One worker of this process: the roles wired together, started, and stopped gracefully."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

from delivery.engine.announcer import Announcer
from delivery.engine.dispatcher import Dispatcher
from delivery.engine.health import HealthKeeper, rules_of
from delivery.engine.heartbeat import Heartbeat
from delivery.engine.held_leases import HeldLeases
from delivery.engine.keeper import Keeper
from delivery.engine.listener import Listener
from delivery.engine.own_load import within_files
from delivery.engine.prepared import PreparedCalls
from delivery.engine.reaper import Reaper
from delivery.engine.sender import Sender
from delivery.engine.settler import Settler
from delivery.http.open_files import current_shares
from delivery.store import leases, workers
from delivery.store.failures import CONNECTION_ERRORS
from delivery.store.workers import WorkerIdentity

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from uuid import UUID

    from delivery.clock import Clock, IdFactory
    from delivery.engine.wake import Waker
    from delivery.http.transport import Transport
    from delivery.message.sealing import Sealer
    from delivery.settings import Settings
    from delivery.store.connection import Pool
    from delivery.store.settlements import Settlement

__all__ = ["Worker"]

logger = logging.getLogger(__name__)

_RESTART_PAUSE: Final = 1.0
_FIRST_ROUND: Final = 5.0
"""Seconds that the start waits for partitions to be made."""
_LISTENERS: Final = 2
"""Connections to the database besides the pool's."""
_LAST_CLAIM: Final = 5.0
"""Seconds that a claim under way is given when the worker stops."""


class Worker:
    """Claims, calls and settles until stopped.

    Args:
        pool: The database.
        url: The same, for the connection that listens.
        on_settled: Called with every batch of results that was written.
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
        on_settled: Callable[[list[Settlement]], None],
        sealer: Sealer,
    ) -> None:
        reserved = settings.database.pool_size + _LISTENERS
        worker = within_files(settings.worker, current_shares(reserved))
        settings = settings.model_copy(update={"worker": worker})
        self._pool = pool
        self._settings = settings
        self._waker = waker
        self._on_settled = on_settled
        self._suspects: set[UUID] = set()
        self.id = ids.new()
        self._held = HeldLeases()
        announcer = Announcer(pool, ids, waker)
        calls = PreparedCalls(pool, settings.http, sealer)
        self._dispatcher = Dispatcher(pool, self.id, clock, ids, self._held, calls, worker)
        self._health = HealthKeeper(
            pool,
            clock,
            rules_of(settings.health),
            announcer,
            self._dispatcher.held_back,
            self._dispatcher.rest,
        )
        self._settler = Settler(
            pool, self.id, self._held, announcer, self._settled, self._health.heal
        )
        self._heartbeat = Heartbeat(
            pool,
            WorkerIdentity(self.id, socket.gethostname(), os.getpid(), version),
            clock,
            interval=worker.heartbeat_interval,
            dead_after=worker.dead_after,
            after_beat=self._audit_leases,
        )
        self._sender = Sender(
            transport,
            self._settler,
            self._health,
            clock,
            ids,
            settings,
            may_start=self._heartbeat.held,
            on_finished=self._dispatcher.job_left,
            on_room=self._dispatcher.look_again,
        )
        self._dispatcher.connect(self._sender, self._settler)
        self._reaper = self._own_reaper(clock, ids, announcer)
        self._keeper = Keeper(pool, days_ahead=settings.partitions.days_ahead)
        self._stop_timeout = worker.shutdown_timeout
        self._roles = self._roles_beside(url)
        """What runs beside claiming, calling and settling, until the end."""

    def _own_reaper(self, clock: Clock, ids: IdFactory, announcer: Announcer) -> Reaper:
        worker = self._settings.worker
        return Reaper(
            self._pool,
            self.id,
            clock,
            ids,
            announcer,
            interval=min(worker.heartbeat_interval, worker.dead_after / 4),
            dead_after=worker.dead_after,
            max_stalls=worker.max_stalls,
        )

    def _roles_beside(self, url: str) -> list[Callable[[], Awaitable[None]]]:
        roles: list[Callable[[], Awaitable[None]]] = [
            self._heartbeat.run,
            self._reaper.run,
            self._keeper.run,
            self._dispatcher.sweeper.run,
            self._health.run,
        ]
        if self._settings.worker.notifications:
            listener = Listener(
                url,
                self._dispatcher,
                own=self._waker.source,
                connect_timeout=self._settings.database.connect_timeout,
            )
            roles.append(listener.run)
        return roles

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Worker]:
        """Work within the block; at its end stop claiming, wait for calls, and hand the rest back.

        Raises:
            asyncpg.PostgresError, OSError: if the worker cannot be registered.
        """
        await self._heartbeat.beat()
        await self._make_partitions()
        claiming = asyncio.create_task(_kept_running(self._dispatcher.run))
        settling = asyncio.create_task(_kept_running(self._settler.run))
        keeping = [asyncio.create_task(_kept_running(role)) for role in self._roles]
        self._waker.subscribe(self._dispatcher)
        try:
            yield self
        finally:
            self._waker.unsubscribe(self._dispatcher)
            self._dispatcher.stop()
            await asyncio.wait([claiming], timeout=_LAST_CLAIM)
            await _end(claiming)
            await self._sender.stop(self._stop_timeout)
            await self._write_the_rest()
            await _end(settling, *keeping)
            try:
                await workers.remove(self._pool, self.id)
            except CONNECTION_ERRORS as error:
                logger.warning("the worker could not be signed off and will be reaped: %s", error)

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
        self._sender.cut_off()

    async def _write_the_rest(self) -> None:
        """Write all results; with the database away, give up after as long as calls were given."""
        try:
            async with asyncio.timeout(max(self._stop_timeout, 5.0)):
                await self._settler.drained()
        except TimeoutError:
            logger.critical(
                "%d results could not be written before the worker stopped; their jobs run again",
                self._settler.unwritten,
            )

    def _settled(self, batch: list[Settlement]) -> None:
        self._dispatcher.settled(batch)
        self._on_settled(batch)

    async def _audit_leases(self) -> None:
        """Compare the leases in the database with those held here.

        One held here and gone there was reaped: its waiting calls must not start. One there and
        unknown here, twice in a row, is a claim whose answer was lost: its jobs go back.
        """
        open_before = self._held.open()
        owned = await leases.owned_by(self._pool, self.id)
        reaped = (open_before & self._held.open()) - owned
        if reaped:
            self._sender.drop(reaped)
            for lease_id in reaped:
                self._held.given_up(lease_id)
        unknown = owned - self._held.known() - open_before
        for lease_id in unknown & self._suspects:
            await self._reaper.recover(lease_id)
        self._suspects = unknown


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
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)

"""Listener for notifications of new work, on a separate connection.

asyncpg does not restore a dropped LISTEN, and a connection through a transaction-mode PgBouncer
receives nothing without an error. So the listener notifies itself regularly, and reconnects if
that notification does not arrive. Polling continues in any case.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final
from uuid import uuid4

from delivery.errors import ReadOnlyDatabase
from delivery.queue.wakeups import decode_lanes
from delivery.store import notifications
from delivery.store.driver.failures import CONNECTION_ERRORS

if TYPE_CHECKING:
    from delivery.queue.wakeups import Wakeable
    from delivery.store.driver.connection import Connection

__all__ = ["Listener"]

logger = logging.getLogger(__name__)

_PROBE: Final = "probe:"


class Listener:
    """Wakes a consumer for new work of other processes.

    Args:
        url: URL of the database.
        consumer: Consumer to wake.
        own: Source of this process's own notifications, which are ignored.
        connect_timeout: Seconds for connecting.
        probe_interval: Seconds between two notifications of the listener to itself.
        probe_timeout: Seconds after which such a notification counts as lost.
        max_backoff: Maximum number of seconds before reconnecting.
    """

    def __init__(
        self,
        url: str,
        consumer: Wakeable,
        *,
        own: str,
        connect_timeout: float,
        probe_interval: float = 15.0,
        probe_timeout: float = 5.0,
        max_backoff: float = 10.0,
    ) -> None:
        self._url = url
        self._consumer = consumer
        self._own = own
        self._connect_timeout = connect_timeout
        self._probe_interval = probe_interval
        self._probe_timeout = probe_timeout
        self._max_backoff = max_backoff
        self._received = asyncio.Event()
        self._dropped = asyncio.Event()
        self._probe = _PROBE + uuid4().hex

    async def run(self) -> None:
        """Listen until cancelled."""
        backoff = 0.1
        while True:
            try:
                self._dropped.clear()
                async with notifications.listening(
                    self._url, self._receive, self._dropped.set, timeout=self._connect_timeout
                ) as connection:
                    # Notifications before LISTEN were not received: sweep once after it.
                    self._consumer.wake(None)
                    while await self._receives_probe(connection):
                        backoff = 0.1
                        await self._pause()
                    logger.warning(
                        "notifications do not arrive (is there a pooler in transaction mode?); "
                        "polling continues; reconnecting in %.1f s",
                        backoff,
                    )
            except CONNECTION_ERRORS as error:
                logger.warning(
                    "cannot receive notifications (%s); polling continues; reconnecting in %.1f s",
                    error,
                    backoff,
                )
            await asyncio.sleep(backoff)
            backoff = min(backoff * 2, self._max_backoff)

    async def _pause(self) -> None:
        """Wait until it is time for the next probe, or the connection is lost."""
        try:
            async with asyncio.timeout(self._probe_interval):
                await self._dropped.wait()
        except TimeoutError:
            pass

    def _receive(self, text: str) -> None:
        if text == self._probe:
            self._received.set()
        elif not text.startswith(_PROBE):
            source, lanes = decode_lanes(text)
            if source != self._own:
                self._consumer.wake(lanes)

    async def _receives_probe(self, connection: Connection) -> bool:
        if await notifications.is_read_only(connection, timeout=self._probe_timeout):
            # Notifications are sent on the primary.
            message = "the server of the listener is read-only"
            raise ReadOnlyDatabase(message)
        self._received.clear()
        await notifications.send(connection, self._probe, timeout=self._probe_timeout)
        try:
            await asyncio.wait_for(self._received.wait(), self._probe_timeout)
        except TimeoutError:
            return False
        return True

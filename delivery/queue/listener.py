"""Hears notifications of new work on a connection of its own.

asyncpg does not restore a dropped LISTEN, nor does a connection through a transaction-mode
PgBouncer say that it hears nothing; so the listener notifies itself now and then, and connects anew
if it does not hear it. Whatever happens here, polling goes on.
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
    """Wakes a dispatcher for what other processes announce.

    Args:
        url: The database; the connection is this listener's alone.
        dispatcher: Who is woken.
        own: The source of this process's own notifications: what they say is known here already.
        connect_timeout: Seconds for making the connection.
        probe_interval: Seconds between two notifications to oneself.
        probe_timeout: Seconds after which such a notification counts as not heard.
        max_backoff: The longest wait, in seconds, before connecting again.
    """

    def __init__(
        self,
        url: str,
        dispatcher: Wakeable,
        *,
        own: str,
        connect_timeout: float,
        probe_interval: float = 15.0,
        probe_timeout: float = 5.0,
        max_backoff: float = 10.0,
    ) -> None:
        self._url = url
        self._dispatcher = dispatcher
        self._own = own
        self._connect_timeout = connect_timeout
        self._probe_interval = probe_interval
        self._probe_timeout = probe_timeout
        self._max_backoff = max_backoff
        self._heard = asyncio.Event()
        self._dropped = asyncio.Event()
        self._probe = _PROBE + uuid4().hex

    async def run(self) -> None:
        """Listen until cancelled."""
        backoff = 0.1
        while True:
            try:
                self._dropped.clear()
                async with notifications.listening(
                    self._url, self._hear, self._dropped.set, timeout=self._connect_timeout
                ) as connection:
                    # What was announced before LISTEN was not heard: scan once after it.
                    self._dispatcher.wake(None)
                    while await self._hears_itself(connection):
                        backoff = 0.1
                        await self._pause()
                    logger.warning(
                        "notifications do not arrive (is there a pooler in transaction mode?); "
                        "polling goes on, connecting again in %.1f s",
                        backoff,
                    )
            except CONNECTION_ERRORS as error:
                logger.warning(
                    "cannot listen for notifications (%s); polling goes on, trying again in %.1f s",
                    error,
                    backoff,
                )
            await asyncio.sleep(backoff)
            backoff = min(backoff * 2, self._max_backoff)

    async def _pause(self) -> None:
        """Until it is time to probe again, or the connection is lost."""
        try:
            async with asyncio.timeout(self._probe_interval):
                await self._dropped.wait()
        except TimeoutError:
            pass

    def _hear(self, text: str) -> None:
        if text == self._probe:
            self._heard.set()
        elif not text.startswith(_PROBE):
            source, lanes = decode_lanes(text)
            if source != self._own:
                self._dispatcher.wake(lanes)

    async def _hears_itself(self, connection: Connection) -> bool:
        if await notifications.is_read_only(connection, timeout=self._probe_timeout):
            # Work is announced on the primary.
            message = "the server that was listened to is read-only"
            raise ReadOnlyDatabase(message)
        self._heard.clear()
        await notifications.send(connection, self._probe, timeout=self._probe_timeout)
        try:
            await asyncio.wait_for(self._heard.wait(), self._probe_timeout)
        except TimeoutError:
            return False
        return True

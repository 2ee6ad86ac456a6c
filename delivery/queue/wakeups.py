"""Wake-ups of consumers: direct in this process, by NOTIFY in others.

They are hints that let deliveries start sooner. Without them, polling finds the jobs.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol
from uuid import UUID

from delivery.store import queue
from delivery.store.driver.caller import is_open

if TYPE_CHECKING:
    from collections.abc import Iterable

    from delivery.store.driver.connection import Connection, Queryable
    from delivery.store.queue import LaneKey

__all__ = ["ANY_LANE", "Wakeable", "Waker", "decode_lanes", "encode_lanes"]

logger = logging.getLogger(__name__)

ANY_LANE: Final = "*"
"""Notification that lets every consumer sweep for jobs."""

_MAX_LANES: Final = 100
"""A notification holds less than 8,000 bytes, and a lane takes about 40."""

_INTERVAL: Final = 0.02
"""Seconds between two notifications of a process. NOTIFY takes a lock over the whole server, and
holds it across the commit."""

_AHEAD: Final = 5
"""Notifications that may be sent immediately after a pause, so that single triggers do not wait."""

_OWN_FIRST: Final = 0.005
"""Seconds that consumers of this process are ahead of consumers of others."""

_AFTER_FAILURE: Final = 1.0
"""Seconds until the next notification after one that failed."""

_LAST_SEND: Final = 1.0
"""Seconds for unsent notifications when the process ends."""

_FIRST_CHECK: Final = 0.001
"""Seconds until a caller's transaction is first checked. Each pause is a quarter of its age."""

_LONGEST_PAUSE: Final = 0.05
_LONGEST_WATCH: Final = 60.0


def encode_lanes(lanes: Iterable[LaneKey], source: str = "") -> str:
    """Return the text of a notification: its source, and lanes or `*` where they are too many."""
    distinct = set(lanes)
    if len(distinct) > _MAX_LANES:
        return f"{source};{ANY_LANE}"
    return f"{source};" + ",".join(f"{lane.hex}:{priority}" for lane, priority in distinct)


def decode_lanes(text: str) -> tuple[str, list[LaneKey] | None]:
    """Return the source of a notification, and its lanes. None for any, also if unreadable."""
    source, _, lanes = text.rpartition(";")
    try:
        return source, [
            (UUID(hex=lane), int(priority))
            for lane, priority in (part.split(":") for part in lanes.split(","))
        ]
    except ValueError:
        return source, None


@dataclass(slots=True)
class _Watched:
    """Open transaction that has written work."""

    connection: Connection
    lanes: set[LaneKey]
    since: float
    timer: asyncio.TimerHandle | None = None


class Wakeable(Protocol):
    """Consumer of this process."""

    def wake(self, lanes: Iterable[LaneKey] | None) -> None:
        """Claim from these lanes soon. None: sweep for lanes."""


class Waker:
    """Announces new work: in this process immediately, to others once in 20 ms on average.

    An announcement never fails the work: notifications are separate statements, sent after the
    commit on the engine's own pool. Their errors are only logged.
    """

    def __init__(self, executor: Queryable, *, notifications: bool) -> None:
        self.source = secrets.token_hex(4)
        """Name of this process in its notifications, so that its own listener can skip them."""
        self._executor = executor
        self._notifications = notifications
        self._local: set[Wakeable] = set()
        self._unsent: set[LaneKey] = set()
        self._next_at = 0.0
        self._sending: asyncio.Task[None] | None = None
        self._failing = False
        self._watched: dict[int, _Watched] = {}
        """Open transactions of callers that have written work, by the id of their connection."""

    def subscribe(self, consumer: Wakeable) -> None:
        """Wake this consumer directly from now on."""
        self._local.add(consumer)

    def unsubscribe(self, consumer: Wakeable) -> None:
        """Stop waking this consumer."""
        self._local.discard(consumer)

    def announce(self, lanes: Iterable[LaneKey]) -> None:
        """Wake consumers for work that was committed."""
        keys = set(lanes)
        if not keys:
            return
        for consumer in self._local:
            consumer.wake(keys)
        if self._notifications:
            self._unsent |= keys
            if self._sending is None:
                self._sending = asyncio.create_task(self._send())

    def announce_after(self, connection: Connection, lanes: Iterable[LaneKey]) -> None:
        """Announce work of a caller's open transaction once the transaction has ended.

        The state of the transaction is checked locally, without a statement, with growing pauses.
        A connection that was closed or released counts as ended. After a minute the work is
        announced in any case. If the transaction commits later, polling finds its jobs.
        """
        keys = set(lanes)
        if not keys:
            return
        watched = self._watched.get(id(connection))
        if watched is not None:
            # The same transaction, or a later one before the end of the first was noticed.
            watched.lanes |= keys
            return
        watched = _Watched(connection, keys, time.monotonic())
        self._watched[id(connection)] = watched
        self._check_later(watched, _FIRST_CHECK)

    def _check_later(self, watched: _Watched, pause: float) -> None:
        loop = asyncio.get_running_loop()
        watched.timer = loop.call_later(pause, self._check, watched)

    def _check(self, watched: _Watched) -> None:
        age = time.monotonic() - watched.since
        if is_open(watched.connection) and age < _LONGEST_WATCH:
            self._check_later(watched, min(max(age / 4, _FIRST_CHECK), _LONGEST_PAUSE))
        else:
            del self._watched[id(watched.connection)]
            self.announce(watched.lanes)

    async def _send(self) -> None:
        """Send the remaining lanes at the allowed rate; less often after an error."""
        try:
            while self._unsent:
                pause = self._next_at - time.monotonic()
                if self._local:
                    pause = max(pause, _OWN_FIRST)
                if pause > 0:
                    await asyncio.sleep(pause)
                text = encode_lanes(self._unsent, self.source)
                self._unsent.clear()
                earliest = time.monotonic() - _INTERVAL * (_AHEAD - 1)
                self._next_at = max(self._next_at, earliest) + _INTERVAL
                await self._send_one(text)
        finally:
            self._sending = None

    async def _send_one(self, text: str) -> None:
        try:
            if self._failing:
                # Reading the usage lets the server free notifications that were read.
                await queue.notification_usage(self._executor)
            await queue.notify(self._executor, text)
        except Exception as error:  # noqa: BLE001 - announcing must not fail anything else
            self._next_at = time.monotonic() + _AFTER_FAILURE
            if not self._failing:
                logger.warning(
                    "cannot notify workers of other processes (%s);"
                    " they find new jobs by polling meanwhile",
                    error,
                )
            self._failing = True
        else:
            if self._failing:
                logger.info("workers of other processes are notified again")
            self._failing = False

    async def aclose(self) -> None:
        """Stop watching transactions, and send the remaining lanes within at most 1 s."""
        for watched in self._watched.values():
            if watched.timer is not None:
                watched.timer.cancel()
        self._watched.clear()
        if self._sending is not None:
            _, unfinished = await asyncio.wait([self._sending], timeout=_LAST_SEND)
            for task in unfinished:
                task.cancel()
                await asyncio.wait([task], timeout=_LAST_SEND)

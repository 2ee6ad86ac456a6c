"""Wake-ups of dispatchers: direct in this process, by NOTIFY in others.

They are hints that make deliveries start sooner. Without them polling finds the jobs.
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

    from delivery.store.driver.connection import Connection, Executor
    from delivery.store.queue import LaneKey

__all__ = ["ANY_LANE", "Wakeable", "Waker", "decode_lanes", "encode_lanes"]

logger = logging.getLogger(__name__)

ANY_LANE: Final = "*"
"""The notification that asks every dispatcher to look for jobs."""

_MAX_LANES: Final = 100
"""A notification holds less than 8,000 bytes, and a lane takes about 40."""

_INTERVAL: Final = 0.02
"""Seconds between two notifications of a process: NOTIFY takes a lock over the whole server that is
held across the commit."""

_AHEAD: Final = 5
"""Notifications that may come at once after a pause, so that single triggers need not wait."""

_OWN_FIRST: Final = 0.005
"""Seconds that the dispatchers of this process are ahead of those of others."""

_AFTER_FAILURE: Final = 1.0
"""Seconds until the next notification after one that failed."""

_LAST_SEND: Final = 1.0
"""Seconds for what is unsent when the process ends."""

_FIRST_LOOK: Final = 0.001
"""Seconds before a caller's transaction is first looked at; each pause is a quarter of its age."""

_LONGEST_PAUSE: Final = 0.05
_LONGEST_WATCH: Final = 60.0


def encode_lanes(lanes: Iterable[LaneKey], source: str = "") -> str:
    """The lanes as the text of a notification, `*` where they are too many, and who sends it."""
    distinct = set(lanes)
    if len(distinct) > _MAX_LANES:
        return f"{source};{ANY_LANE}"
    return f"{source};" + ",".join(f"{lane.hex}:{priority}" for lane, priority in distinct)


def decode_lanes(text: str) -> tuple[str, list[LaneKey] | None]:
    """Who sent a notification, and its lanes; None: any, also where the text cannot be read."""
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
    """A transaction that has written work and is still open."""

    connection: Connection
    lanes: set[LaneKey]
    since: float
    timer: asyncio.TimerHandle | None = None


class Wakeable(Protocol):
    """What can be woken: a dispatcher of this process."""

    def wake(self, lanes: Iterable[LaneKey] | None) -> None:
        """Look at these lanes soon; None: look for yourself."""


class Waker:
    """Announces new work: in this process at once, to others at most once in 20 ms on average.

    Announcing never fails the work: notifications are statements of their own, sent after the
    commit on the engine's own pool, and their errors are only logged.
    """

    def __init__(self, executor: Executor, *, notifications: bool) -> None:
        self.source = secrets.token_hex(4)
        """Names this process in its notifications, so that its own listener can skip them."""
        self._executor = executor
        self._notifications = notifications
        self._local: set[Wakeable] = set()
        self._unsent: set[LaneKey] = set()
        self._next_at = 0.0
        self._sending: asyncio.Task[None] | None = None
        self._failing = False
        self._watched: dict[int, _Watched] = {}
        """Transactions of callers that have written work, by the id of their connection."""

    def subscribe(self, dispatcher: Wakeable) -> None:
        """Wake this dispatcher directly from now on."""
        self._local.add(dispatcher)

    def unsubscribe(self, dispatcher: Wakeable) -> None:
        """Stop waking this dispatcher."""
        self._local.discard(dispatcher)

    def announce(self, lanes: Iterable[LaneKey]) -> None:
        """Wake dispatchers for work that was committed."""
        keys = set(lanes)
        if not keys:
            return
        for dispatcher in self._local:
            dispatcher.wake(keys)
        if self._notifications:
            self._unsent |= keys
            if self._sending is None:
                self._sending = asyncio.create_task(self._send())

    def announce_after(self, connection: Connection, lanes: Iterable[LaneKey]) -> None:
        """Announce work written in a caller's transaction that is still open, once it has ended.

        Whether it ended is looked at locally, without a statement, with growing pauses. A
        connection that was closed or released counts as ended. After a minute the work is announced
        in any case and the transaction is forgotten; if it commits later, polling finds its jobs.
        """
        keys = set(lanes)
        if not keys:
            return
        watched = self._watched.get(id(connection))
        if watched is not None:
            # The same transaction, or the first one on this connection has ended unnoticed.
            watched.lanes |= keys
            return
        watched = _Watched(connection, keys, time.monotonic())
        self._watched[id(connection)] = watched
        self._look_later(watched, _FIRST_LOOK)

    def _look_later(self, watched: _Watched, pause: float) -> None:
        loop = asyncio.get_running_loop()
        watched.timer = loop.call_later(pause, self._look, watched)

    def _look(self, watched: _Watched) -> None:
        age = time.monotonic() - watched.since
        if is_open(watched.connection) and age < _LONGEST_WATCH:
            self._look_later(watched, min(max(age / 4, _FIRST_LOOK), _LONGEST_PAUSE))
        else:
            del self._watched[id(watched.connection)]
            self.announce(watched.lanes)

    async def _send(self) -> None:
        """Send the remaining lanes at the allowed rate; after an error less often."""
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
                # A full queue stays full until somebody looks.
                await queue.notification_usage(self._executor)
            await queue.notify(self._executor, text)
        except Exception as error:  # noqa: BLE001 - announcing must not fail anything else
            self._next_at = time.monotonic() + _AFTER_FAILURE
            if not self._failing:
                logger.warning(
                    "workers of other processes cannot be notified (%s);"
                    " they find new jobs by polling until this is over",
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

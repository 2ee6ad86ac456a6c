"""Waking dispatchers, here at once, elsewhere by NOTIFY. A hint only; polling is the truth."""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from typing import TYPE_CHECKING, Final, Protocol
from uuid import UUID

from delivery.store import queue
from delivery.store.failures import CONNECTION_ERRORS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from delivery.store.connection import Executor
    from delivery.store.queue import LaneKey

__all__ = ["ANY_LANE", "Wakeable", "Waker", "decode_lanes", "encode_lanes"]

logger = logging.getLogger(__name__)

ANY_LANE: Final = "*"
"""The text that says: look for yourself."""

_MAX_LANES: Final = 100
"""A notification holds less than 8,000 bytes, and a lane takes about 40."""

_INTERVAL: Final = 0.02
"""Seconds between two notifications of a process: NOTIFY takes a lock over the whole server that is
held across the commit."""

_LAST_NOTIFICATION: Final = 0.5
"""Seconds for what is unsent when the process ends."""

_AHEAD: Final = 5
"""Notifications that may come at once after a pause, so that single triggers need not wait."""


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


class Wakeable(Protocol):
    """What can be woken: a dispatcher of this process."""

    def wake(self, lanes: Iterable[LaneKey] | None) -> None:
        """Look at these lanes soon; None: look for yourself."""


class Waker:
    """Tells dispatchers of new work, those of other processes at most once in 20 ms on average."""

    def __init__(self, executor: Executor, *, notifications: bool) -> None:
        self.source = secrets.token_hex(4)
        """Stands in notifications of what dispatchers of this process were woken for directly."""
        self._executor = executor
        self._notifications = notifications
        self._local: set[Wakeable] = set()
        self._unsent: set[LaneKey] = set()
        self._unsent_source = self.source
        self._next_at = 0.0
        self._sending: asyncio.Task[None] | None = None

    def subscribe(self, dispatcher: Wakeable) -> None:
        """Wake this dispatcher directly from now on."""
        self._local.add(dispatcher)

    def unsubscribe(self, dispatcher: Wakeable) -> None:
        """Stop waking this dispatcher."""
        self._local.discard(dispatcher)

    def notification(self, lanes: Iterable[LaneKey], *, to_this_process: bool) -> str | None:
        """The text to notify with in the statement that writes the work, if it is time for one.

        It then goes out with the commit. None: too early after the last ones, or switched off.

        Args:
            lanes: What there is work for.
            to_this_process: Whether dispatchers of this process are to hear it as well, since they
                will not be woken directly.
        """
        if not self._notifications or time.monotonic() < self._next_at:
            return None
        self._take_turn()
        return encode_lanes(lanes, "" if to_this_process else self.source)

    def _take_turn(self) -> None:
        earliest = time.monotonic() - _INTERVAL * (_AHEAD - 1)
        self._next_at = max(self._next_at, earliest) + _INTERVAL

    def announce(
        self, lanes: Iterable[LaneKey], *, notified: bool, to_this_process: bool = False
    ) -> None:
        """Wake for work that was committed; notify soon, unless the statement did (`notified`).

        `to_this_process`: let dispatchers of this process hear the notification as well, since the
        work may be committed only later.
        """
        keys = set(lanes)
        if not keys:
            return
        for dispatcher in self._local:
            dispatcher.wake(keys)
        if self._notifications and not notified:
            self._unsent |= keys
            if to_this_process:
                self._unsent_source = ""
            if self._sending is None:
                self._sending = asyncio.create_task(self._send_later())

    async def _send_later(self) -> None:
        try:
            while self._unsent:
                await asyncio.sleep(max(0.0, self._next_at - time.monotonic()))
                text = encode_lanes(self._unsent, self._unsent_source)
                self._unsent.clear()
                self._unsent_source = self.source
                self._take_turn()
                await queue.notify(self._executor, text)
        except CONNECTION_ERRORS as error:
            logger.warning("workers of other processes were not notified and will poll: %s", error)
        finally:
            self._sending = None

    async def aclose(self) -> None:
        """Send what is unsent, if the database takes it at once."""
        if self._sending is not None:
            sending = self._sending
            await asyncio.wait([sending], timeout=_LAST_NOTIFICATION)
            sending.cancel()
            await asyncio.wait([sending])

"""Waking dispatchers, here at once, elsewhere by NOTIFY. A hint only; polling is the truth."""

from __future__ import annotations

import asyncio
import logging
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


def encode_lanes(lanes: Iterable[LaneKey]) -> str:
    """The lanes as the text of a notification, `*` where they are too many."""
    distinct = set(lanes)
    if len(distinct) > _MAX_LANES:
        return ANY_LANE
    return ",".join(f"{lane.hex}:{priority}" for lane, priority in distinct)


def decode_lanes(text: str) -> list[LaneKey] | None:
    """The lanes of a notification; None: any lane, also where the text is of another version."""
    try:
        return [
            (UUID(hex=lane), int(priority))
            for lane, priority in (part.split(":") for part in text.split(","))
        ]
    except ValueError:
        return None


class Wakeable(Protocol):
    """What can be woken: a dispatcher of this process."""

    def wake(self, lanes: Iterable[LaneKey] | None) -> None:
        """Look at these lanes soon; None: look for yourself."""


class Waker:
    """Tells dispatchers of new work, those of other processes at most once in 20 ms."""

    def __init__(self, executor: Executor, *, notifications: bool) -> None:
        self._executor = executor
        self._notifications = notifications
        self._local: set[Wakeable] = set()
        self._unsent: set[LaneKey] = set()
        self._next_at = 0.0
        self._sending: asyncio.Task[None] | None = None

    def subscribe(self, dispatcher: Wakeable) -> None:
        """Wake this dispatcher directly from now on."""
        self._local.add(dispatcher)

    def unsubscribe(self, dispatcher: Wakeable) -> None:
        """Stop waking this dispatcher."""
        self._local.discard(dispatcher)

    def notification(self, lanes: Iterable[LaneKey]) -> str | None:
        """The text to notify with in the statement that writes the work, if it is time for one.

        It then goes out with the commit. None: too early after the last one, or switched off.
        """
        now = time.monotonic()
        if not self._notifications or now < self._next_at:
            return None
        self._next_at = now + _INTERVAL
        return encode_lanes(lanes)

    def announce(self, lanes: Iterable[LaneKey], *, notified: bool) -> None:
        """Wake for work that was committed; notify soon, unless the statement did (`notified`)."""
        keys = set(lanes)
        if not keys:
            return
        for dispatcher in self._local:
            dispatcher.wake(keys)
        if self._notifications and not notified:
            self._unsent |= keys
            if self._sending is None:
                self._sending = asyncio.create_task(self._send_later())

    async def _send_later(self) -> None:
        try:
            while self._unsent:
                await asyncio.sleep(max(0.0, self._next_at - time.monotonic()))
                text = encode_lanes(self._unsent)
                self._unsent.clear()
                self._next_at = time.monotonic() + _INTERVAL
                await queue.notify(self._executor, text)
        except CONNECTION_ERRORS as error:
            logger.warning("workers of other processes were not notified and will poll: %s", error)
        finally:
            self._sending = None

    async def aclose(self) -> None:
        """Send what is unsent."""
        if self._sending is not None:
            await self._sending

"""Name resolution in dedicated daemon threads.

The event loop's `getaddrinfo` uses a small, shared thread pool (two concurrent lookups with
uvloop), so a few names whose servers do not respond would block all others. The program would also
wait for the threads of the pool when it ends, up to half a minute. Here, more lookups run
concurrently, slow lookups make room for others, concurrent calls share the lookup of a name, and
the program does not wait for lookups when it ends.
"""

from __future__ import annotations

import asyncio
import socket
from contextlib import suppress
from functools import partial
from threading import Thread
from typing import TYPE_CHECKING, Final

from delivery.http.addresses import parse_address
from delivery.http.local_shortage import LocalShortage, is_out_of_files
from delivery.http.open_files import current_shares

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from delivery.http.addresses import Address

__all__ = ["NameResolver", "system_addresses"]

_MAX_FAST: Final = 32
"""Maximum number of concurrent lookups that are not slow. Lower if few files may be open."""
_SLOW_AFTER: Final = 0.5
"""Seconds after which a lookup counts as slow."""


def system_addresses(name: str) -> list[str]:
    """Resolve a name with the system's resolver. Blocks.

    Raises:
        socket.gaierror, UnicodeError: if the name cannot be resolved.
    """
    return [str(entry[4][0]) for entry in socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)]


class NameResolver:
    """Resolver that runs one lookup of a name at a time.

    Args:
        resolver: Function that returns the addresses of a name, in the order to try them. It runs
            in a thread and may block.
    """

    def __init__(self, resolver: Callable[[str], Iterable[str]] = system_addresses) -> None:
        self._resolver = resolver
        self._limit = 0
        self._fast: asyncio.Semaphore
        self._threads: asyncio.Semaphore
        self._lookups: dict[str, asyncio.Task[list[Address]]] = {}

    async def addresses(self, name: str) -> list[Address]:
        """Return the addresses of a name, in the order to try them.

        Raises:
            socket.gaierror, UnicodeError: if the name cannot be resolved.
            LocalShortage: if this process has no thread or file left for the lookup.
        """
        lookup = self._lookups.get(name)
        if not self._limit:
            # Not earlier: a program may raise its limit of open files before it begins to deliver.
            self._limit = current_shares(0).lookups
            self._fast = asyncio.Semaphore(min(_MAX_FAST, self._limit))
            self._threads = asyncio.Semaphore(self._limit)
        if lookup is None:
            lookup = self._lookups[name] = asyncio.create_task(self._look_up(name))
            lookup.add_done_callback(lambda done: self._ended(name, done))
        # Other calls may wait for the same lookup, so a cancellation must not end it.
        return await asyncio.shield(lookup)

    async def _look_up(self, name: str) -> list[Address]:
        async with self._threads:
            async with self._fast:
                found: asyncio.Future[list[Address]] = asyncio.get_running_loop().create_future()
                thread = Thread(
                    target=_resolve,
                    args=(self._resolver, name, found),
                    name=f"delivery-resolve-{name}",
                    daemon=True,
                )
                try:
                    thread.start()
                except RuntimeError as error:
                    raise LocalShortage(str(error)) from error
                await asyncio.wait([found], timeout=_SLOW_AFTER)
            return await found

    def _ended(self, name: str, lookup: asyncio.Task[list[Address]]) -> None:
        del self._lookups[name]
        if not lookup.cancelled():
            # Mark the exception as retrieved, in case all waiting calls were cancelled.
            lookup.exception()


def _resolve(
    resolver: Callable[[str], Iterable[str]], name: str, found: asyncio.Future[list[Address]]
) -> None:
    """Complete the future with the addresses or an error. Runs in a thread."""
    try:
        addresses = list(dict.fromkeys(map(parse_address, resolver(name))))
    except Exception as error:  # noqa: BLE001 - the waiting calls receive every error
        if isinstance(error, socket.gaierror) and is_out_of_files():
            error = LocalShortage("cannot open a file to resolve the name")
        complete = partial(found.set_exception, error)
    else:
        complete = partial(found.set_result, addresses)
    with suppress(RuntimeError):  # The event loop is closed, so no call waits.
        found.get_loop().call_soon_threadsafe(_complete, found, complete)


def _complete(found: asyncio.Future[list[Address]], complete: Callable[[], None]) -> None:
    if not found.done():
        complete()

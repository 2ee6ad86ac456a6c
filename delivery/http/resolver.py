"""Resolves names to addresses, in threads of its own.

The event loop's own `getaddrinfo` runs in a pool that is small (uvloop's lets two lookups run at
once) and shared, so that a few names whose servers do not answer would hold up all others; and the
threads of such pools are waited for when the program ends, which a resolver can make last half a
minute. Here more lookups run at once, those that hang make room for others, a name that is being
looked up for one call is not looked up again for the next, and the program ends without waiting for
any.
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

_AT_ONCE: Final = 32
"""Lookups that do, at once; fewer where few files may be open."""
_SLOW_AFTER: Final = 0.5
"""Seconds after which a lookup no longer counts among those."""


def system_addresses(name: str) -> list[str]:
    """The addresses of a name by the system's resolver, in the order to try them; blocks.

    Raises:
        socket.gaierror, UnicodeError: if the name cannot be resolved.
    """
    return [str(entry[4][0]) for entry in socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)]


class NameResolver:
    """Looks names up, each once at a time.

    Args:
        resolver: Gives the addresses of a name, in the order to try them; it is called in a thread,
            and may block.
    """

    def __init__(self, resolver: Callable[[str], Iterable[str]] = system_addresses) -> None:
        self._resolver = resolver
        self._most = 0
        self._places: asyncio.Semaphore
        self._threads: asyncio.Semaphore
        self._under_way: dict[str, asyncio.Task[list[Address]]] = {}

    async def addresses(self, name: str) -> list[Address]:
        """The addresses of a name, in the order to try them.

        Raises:
            socket.gaierror, UnicodeError: if the name cannot be resolved.
            LocalShortage: if this process has no thread or file left to resolve it.
        """
        lookup = self._under_way.get(name)
        if not self._most:
            # Not before: a program may raise its limit of open files when it begins to deliver.
            self._most = current_shares(0).lookups
            self._places = asyncio.Semaphore(min(_AT_ONCE, self._most))
            self._threads = asyncio.Semaphore(self._most)
        if lookup is None:
            lookup = self._under_way[name] = asyncio.create_task(self._look_up(name))
            lookup.add_done_callback(lambda done: self._ended(name, done))
        # Who gives up waiting must not end the lookup for the others.
        return await asyncio.shield(lookup)

    async def _look_up(self, name: str) -> list[Address]:
        async with self._threads:
            async with self._places:
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
        del self._under_way[name]
        if not lookup.cancelled():
            # Those who waited have it; when all have given up, it counts as seen.
            lookup.exception()


def _resolve(
    resolver: Callable[[str], Iterable[str]], name: str, found: asyncio.Future[list[Address]]
) -> None:
    """Settle the future with the addresses, or with why there are none; runs in a thread."""
    try:
        addresses = list(dict.fromkeys(map(parse_address, resolver(name))))
    except Exception as error:  # noqa: BLE001 - whatever it is, whoever waits must hear of it
        if isinstance(error, socket.gaierror) and is_out_of_files():
            error = LocalShortage("no file could be opened to resolve the name")
        settle = partial(found.set_exception, error)
    else:
        settle = partial(found.set_result, addresses)
    with suppress(RuntimeError):  # The event loop is closed: nobody waits any more.
        found.get_loop().call_soon_threadsafe(_unless_done, found, settle)


def _unless_done(found: asyncio.Future[list[Address]], settle: Callable[[], None]) -> None:
    if not found.done():
        settle()

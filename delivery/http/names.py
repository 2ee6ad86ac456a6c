"""Resolves names to addresses, in threads of its own.

The event loop's own `getaddrinfo` runs in a pool that is small (uvloop's lets two lookups run at
once) and shared, so that a few names whose servers do not answer would hold up all others. Here the
pool is larger, and a name that is being looked up for one call is not looked up again for the next.
"""

from __future__ import annotations

import asyncio
import socket
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final

from delivery.http.addresses import parse_address

if TYPE_CHECKING:
    from delivery.http.addresses import Address

__all__ = ["Names"]

_THREADS: Final = 32


class Names:
    """Looks names up with the system's resolver, each once at a time."""

    def __init__(self) -> None:
        # Its threads are started when they are needed, and end when this object is gone.
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="delivery-names")
        self._under_way: dict[str, asyncio.Future[list[Address]]] = {}

    async def addresses(self, name: str) -> list[Address]:
        """The addresses of a name, in the order to try them.

        Raises:
            socket.gaierror, UnicodeError: if the name cannot be resolved.
        """
        lookup = self._under_way.get(name)
        if lookup is None:
            lookup = asyncio.get_running_loop().run_in_executor(self._threads, _look_up, name)
            self._under_way[name] = lookup
            lookup.add_done_callback(lambda done: self._ended(name, done))
        # Who gives up waiting must not end the lookup for the others.
        return await asyncio.shield(lookup)

    def _ended(self, name: str, lookup: asyncio.Future[list[Address]]) -> None:
        del self._under_way[name]
        if not lookup.cancelled():
            # Those who waited have it; when all have given up, it counts as seen.
            lookup.exception()


def _look_up(name: str) -> list[Address]:
    found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(parse_address(str(entry[4][0])) for entry in found))

"""A TCP proxy on loopback between an engine and its database, with faults on request.

It can drop data like a firewall that has lost a connection's state: both ends stay open, but
receive no more data from each other.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Self
from urllib.parse import parse_qs, urlsplit

if TYPE_CHECKING:
    from types import TracebackType

__all__ = ["Proxy"]


class _Link:
    """A client's connection, and the proxy's connection to the server."""

    def __init__(self) -> None:
        self.silent = False
        self.writers: list[asyncio.StreamWriter] = []

    def cut(self) -> None:
        for writer in self.writers:
            writer.transport.abort()


class Proxy:
    """Proxy that forwards connections to the server of `url` within the block."""

    def __init__(self, url: str) -> None:
        self._parts = urlsplit(url)
        self._target = _address(url)
        self._links: set[_Link] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._swallowing = False
        self._server: asyncio.Server | None = None
        self.port = 0
        self.accepted = 0
        """Number of accepted connections."""

    @property
    def url(self) -> str:
        """URL of the database through this proxy."""
        user = self._parts.netloc.rpartition("@")[0]
        return (
            f"postgresql://{user + '@' if user else ''}127.0.0.1:{self.port}{self._parts.path}"
            "?sslmode=disable"
        )

    def swallow(self, *, new: bool = True) -> None:
        """Drop all data on open connections, and with `new` also on later ones."""
        for link in self._links:
            link.silent = True
        self._swallowing = new

    def forward(self) -> None:
        """Forward data on new connections again."""
        self._swallowing = False

    def redirect(self, url: str) -> None:
        """Forward new connections to another server."""
        self._target = _address(url)

    def cut(self) -> None:
        """Close all connections immediately."""
        for link in self._links:
            link.cut()

    async def refuse(self) -> None:
        """Refuse new connections and close open ones."""
        assert self._server is not None
        self._server.close()
        self.cut()

    async def listen(self) -> None:
        """Listen on the same port as before."""
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def __aenter__(self) -> Self:
        await self.listen()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._server is not None
        self._server.close()
        self.cut()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=30.0)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        self.accepted += 1
        link = _Link()
        link.silent = self._swallowing
        link.writers.append(writer)
        self._links.add(link)
        try:
            if link.silent:
                await reader.read(-1)
                return
            host, port = self._target
            if port is None:
                there = await asyncio.open_unix_connection(host)
            else:
                there = await asyncio.open_connection(host, port)
            link.writers.append(there[1])
            await asyncio.gather(_pump(link, reader, there[1]), _pump(link, there[0], writer))
        except OSError:
            # The server is unreachable, or one side has closed.
            return
        finally:
            link.cut()
            self._links.discard(link)


async def _pump(link: _Link, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65_536):
        if not link.silent:
            # Writing would raise a RuntimeError under uvloop.
            if writer.is_closing():
                return
            writer.write(data)
            await writer.drain()
    if not link.silent:
        link.cut()


def _address(url: str) -> tuple[str, int | None]:
    """Return the address of a URL's server: a path and None, or a host and a port."""
    parts = urlsplit(url)
    query = parse_qs(parts.query)
    host = parts.hostname or query.get("host", ["127.0.0.1"])[0]
    port = parts.port or int(query.get("port", ["5432"])[0])
    return (f"{host}/.s.PGSQL.{port}", None) if host.startswith("/") else (host, port)

"""Receivers that hold sockets open without end, in a separate process."""

from __future__ import annotations

import asyncio
import json
import resource
import sys
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

__all__ = ["HostileReceivers", "hostile_receivers"]

_OK: Final = b"HTTP/1.1 200 OK\r\n"
_TICK: Final = 1.0
_ALMOST_THE_CAP: Final = b"x" * 60_000
_HALF_A_HELLO: Final = b"\x16\x03\x03\x00\x7a\x02\x00\x00\x76\x03\x03" + bytes(20)


class HostileReceivers:
    """URLs of the hostile receivers, by kind."""

    def __init__(self, process: asyncio.subprocess.Process, urls: dict[str, str]) -> None:
        self._process = process
        self.urls = urls

    async def connections(self) -> dict[str, int]:
        """Return the number of sockets that each receiver holds open now."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(b"\n")
        held: dict[str, int] = json.loads(await self._process.stdout.readline())
        return held


@asynccontextmanager
async def hostile_receivers() -> AsyncIterator[HostileReceivers]:
    """Run `hanging`, `dripping` (headers), `endless` (bodies) and `stalling` (TLS) receivers."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "bench.hostile_receivers"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        yield HostileReceivers(process, json.loads(await process.stdout.readline()))
    finally:
        process.kill()
        await process.wait()


async def _hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    del writer
    while await reader.read(65_536):
        pass


async def _drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Send one byte of a header each second."""
    await reader.readuntil(b"\r\n\r\n")
    await _for_ever(writer, _OK + b"X: ")


async def _never_end(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Send almost as much of a body as the engine stores, then one byte of it each second."""
    await reader.readuntil(b"\r\n\r\n")
    await _for_ever(writer, _OK + b"\r\n" + _ALMOST_THE_CAP)


async def _stall(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Send the first half of the first TLS message."""
    await reader.read(1)
    writer.write(_HALF_A_HELLO)
    await _hang(reader, writer)


async def _for_ever(writer: asyncio.StreamWriter, beginning: bytes) -> None:
    writer.write(beginning)
    while not writer.is_closing():
        await asyncio.sleep(_TICK)
        writer.write(b"x")
        await writer.drain()


_KINDS: Final = {"hanging": _hang, "dripping": _drip, "endless": _never_end, "stalling": _stall}


async def _serve() -> None:
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    held = dict.fromkeys(_KINDS, 0)
    urls = {}

    def counted(
        name: str, handler: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
    ) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            held[name] += 1
            with suppress(OSError, asyncio.IncompleteReadError):
                await handler(reader, writer)
            held[name] -= 1
            writer.close()

        return serve

    for name, handler in _KINDS.items():
        server = await asyncio.start_server(
            counted(name, handler), "127.0.0.1", 0, backlog=4096, start_serving=True
        )
        scheme = "https" if name == "stalling" else "http"
        urls[name] = f"{scheme}://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    print(json.dumps(urls), flush=True)
    while await asyncio.to_thread(sys.stdin.readline):
        print(json.dumps(held), flush=True)


if __name__ == "__main__":
    asyncio.run(_serve())

"""Endpoints that hang, are slow, reset or refuse, in a separate process."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
import sys
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

__all__ = ["endpoints"]

_RESPONSE: Final = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
_SLOW: Final = 10.0
_LINGER_NOT: Final = struct.pack("ii", 1, 0)


@asynccontextmanager
async def endpoints() -> AsyncIterator[dict[str, str]]:
    """Return the URLs of the `hanging`, `slow` (10 s), `resetting` and `refusing` endpoints."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bench.misbehaving", stdout=asyncio.subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        urls: dict[str, str] = json.loads(await process.stdout.readline())
        yield urls
    finally:
        process.kill()
        await process.wait()


async def _hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    del writer
    while await reader.read(65_536):
        pass


async def _respond_slowly(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while await reader.read(65_536):
        await asyncio.sleep(_SLOW)
        writer.write(_RESPONSE)


async def _reset(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(1)
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NOT)
    writer.transport.abort()


async def _serve() -> None:
    # The socket is bound but does not listen: the port stays taken and refuses connections.
    refusing = socket.socket()
    refusing.bind(("127.0.0.1", 0))
    urls = {"refusing": f"http://127.0.0.1:{refusing.getsockname()[1]}"}
    for name, handler in (("hanging", _hang), ("slow", _respond_slowly), ("resetting", _reset)):
        server = await asyncio.start_server(handler, "127.0.0.1", 0, backlog=4096)
        urls[name] = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    print(json.dumps(urls), flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_serve())

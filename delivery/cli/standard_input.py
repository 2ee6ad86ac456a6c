"""Standard input, for commands that read a payload from it."""

from __future__ import annotations

import asyncio
import sys
import threading

from delivery.errors import InvalidInput

__all__ = ["read_standard_input"]


async def read_standard_input(what: str = "the payload") -> bytes:
    """Read standard input to its end.

    Args:
        what: Name of the value, for the error.

    Raises:
        InvalidInput: if it is closed, or cannot be read.
    """
    if sys.stdin is None:
        message = f"standard input is closed; give {what} in another way, such as a file"
        raise InvalidInput(message)
    # Read without the buffer: the thread would hold its lock and block the program's exit.
    stream = getattr(sys.stdin.buffer, "raw", sys.stdin.buffer)
    loop = asyncio.get_running_loop()
    read: asyncio.Future[bytes] = loop.create_future()

    def finish(data: bytes, error: OSError | None) -> None:
        if read.done():
            return
        if error is None:
            read.set_result(data)
        else:
            read.set_exception(InvalidInput(f"standard input cannot be read: {error.strerror}"))

    def wait_for_end() -> None:
        try:
            loop.call_soon_threadsafe(finish, stream.read(), None)
        except OSError as error:
            loop.call_soon_threadsafe(finish, b"", error)

    # A daemon thread, so that Ctrl-C ends the program before the end of the input.
    threading.Thread(target=wait_for_end, daemon=True).start()
    return await read

"""Reading all of standard input, for commands that take a payload there."""

from __future__ import annotations

import asyncio
import sys
import threading

from delivery.errors import InvalidInput

__all__ = ["read_standard_input"]


async def read_standard_input(what: str = "the payload") -> bytes:
    """Return all of standard input, to its end.

    Args:
        what: The name of the value that is read, for the error.

    Raises:
        InvalidInput: if it is closed, or cannot be read.
    """
    if sys.stdin is None:
        message = f"standard input is closed; give {what} in another way, such as a file"
        raise InvalidInput(message)
    # Not through the buffer, whose lock the thread would hold against the program's end.
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

    # A thread that nobody waits for, so that Ctrl-C need not wait for the end of what is typed.
    threading.Thread(target=wait_for_end, daemon=True).start()
    return await read

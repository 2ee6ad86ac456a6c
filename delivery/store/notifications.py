"""LISTEN and NOTIFY on the one channel that wakes workers."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

from delivery.store.connection import connect
from delivery.store.statements import statement

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from delivery.store.connection import Connection

__all__ = ["CHANNEL", "listening", "send"]

CHANNEL: Final = "delivery_wake"


@asynccontextmanager
async def listening(
    url: str,
    heard: Callable[[str], None],
    dropped: Callable[[], None] | None = None,
    *,
    timeout: float,
) -> AsyncIterator[Connection]:
    """A connection of its own that listens.

    `heard` is called with each notification's text, `dropped` when the connection is lost.

    Raises:
        DatabaseUnavailable: if no connection could be made.
    """
    connection = await connect(url, timeout)

    def callback(_connection: Any, _pid: int, _channel: str, payload: object) -> None:
        heard(str(payload))

    try:
        if dropped is not None:
            connection.add_termination_listener(lambda _connection: dropped())
        await connection.add_listener(CHANNEL, callback)
        yield connection
    finally:
        connection.terminate()


async def send(connection: Connection, text: str, *, timeout: float) -> None:
    """Notify from this connection."""
    await connection.execute(statement("notify_wake"), text, timeout=timeout)

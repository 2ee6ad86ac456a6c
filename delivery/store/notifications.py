"""LISTEN and NOTIFY on the channel that wakes workers."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

from delivery.store.driver.connection import connect
from delivery.store.statements import statement

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from delivery.store.driver.connection import Connection

__all__ = ["CHANNEL", "is_read_only", "listening", "send"]

CHANNEL: Final = "delivery_wake"


@asynccontextmanager
async def listening(
    url: str,
    heard: Callable[[str], None],
    dropped: Callable[[], None] | None = None,
    *,
    timeout: float,
) -> AsyncIterator[Connection]:
    """Open a listening connection, and close it at the end of the block.

    Args:
        url: URL of the database.
        heard: Called with the payload of each notification.
        dropped: Called when the connection is lost.
        timeout: Seconds for connecting, and for each statement.

    Raises:
        DatabaseUnavailable: No connection could be made.
        StatementTimeout: The server did not execute LISTEN in time.
    """
    # It has no use for prepared statements, which some poolers lose.
    connection = await connect(url, timeout, statement_cache_size=0, statement_timeout=timeout)

    def callback(_connection: Any, _pid: int, _channel: str, payload: object) -> None:
        heard(str(payload))

    try:
        if dropped is not None:
            connection.add_termination_listener(lambda _connection: dropped())
        await connection.add_listener(CHANNEL, callback)
        yield connection
    finally:
        connection.terminate()


async def is_read_only(connection: Connection, *, timeout: float) -> bool:
    """Return True if the server or the session of this connection takes no writes."""
    return bool(await connection.fetchval(statement("read_only"), timeout=timeout))


async def send(connection: Connection, text: str, *, timeout: float) -> None:
    """Notify all listeners from this connection."""
    await connection.execute(statement("notify_wake"), text, timeout=timeout)

"""One transaction on one connection.

The driver's own transaction block sends ROLLBACK in the place of a cancellation, and raises what
that meets instead of the cancellation. Here the error that ends a block is the one that leaves it.
"""

from __future__ import annotations

import logging
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

from delivery.errors import DatabaseError
from delivery.store.driver.failures import CONNECTION_ERRORS
from delivery.store.statements import statement

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from delivery.store.driver.connection import Connection, Pool

__all__ = ["after_commit", "savepoint", "transaction", "transaction_on"]

logger = logging.getLogger(__name__)

_ROLLBACK: Final = 5.0
"""Seconds for a rollback, after which the connection is closed instead."""


_after_commit: dict[Connection, list[Callable[[], None]]] = {}
"""What to call, by the connection of a transaction that is open."""


def after_commit(connection: Connection, call: Callable[[], None]) -> None:
    """Call a function once the transaction that `transaction` opened here has committed."""
    _after_commit.setdefault(connection, []).append(call)


@asynccontextmanager
async def transaction(pool: Pool) -> AsyncIterator[Connection]:
    """Commit at the end, roll back on an error; READ COMMITTED, as all statements expect."""
    async with pool.acquire() as session:
        try:
            async with transaction_on(session):
                yield session
        except BaseException:
            _after_commit.pop(session, None)
            raise
        for call in _after_commit.pop(session, ()):
            call()


@asynccontextmanager
async def transaction_on(connection: Connection) -> AsyncIterator[None]:
    """Do the same on a connection that is in no transaction yet."""
    await connection.execute(statement("begin"))
    try:
        yield
    except Exception:
        await _roll_back(connection)
        raise
    except BaseException:
        # Canceled: closing rolls back too, and waits for nobody.
        connection.terminate()
        raise
    if await connection.execute(statement("commit")) != "COMMIT":
        message = "a transaction was rolled back, as one of its statements had failed"
        raise DatabaseError(message)


@asynccontextmanager
async def savepoint(connection: Connection) -> AsyncIterator[None]:
    """Undo the block alone on an error; the transaction around it goes on."""
    await connection.execute(statement("savepoint"))
    try:
        yield
    except Exception:
        if not connection.is_closed():
            await connection.execute(statement("rollback_to_savepoint"))
        raise
    await connection.execute(statement("release_savepoint"))


async def _roll_back(connection: Connection) -> None:
    if connection.is_closed():
        return
    try:
        await connection.execute(statement("rollback"), timeout=_ROLLBACK)
    except CONNECTION_ERRORS as error:
        logger.debug("a transaction was rolled back by closing its connection: %s", error)
        connection.terminate()

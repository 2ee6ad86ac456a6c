"""Transactions on one connection.

On a cancellation the driver's transaction block sends ROLLBACK and raises the error of that instead
of the cancellation. These blocks always raise the error that ended them.
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
"""Seconds for a rollback; after a timeout the connection is closed instead."""


_after_commit: dict[Connection, list[Callable[[], None]]] = {}
"""Functions to call after the commit, by connection of the open transaction."""


def after_commit(connection: Connection, call: Callable[[], None]) -> None:
    """Call a function after the transaction that `transaction` opened here has committed."""
    _after_commit.setdefault(connection, []).append(call)


@asynccontextmanager
async def transaction(pool: Pool) -> AsyncIterator[Connection]:
    """Run the block in a READ COMMITTED transaction; commit at the end, roll back on an error."""
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
    """Run the block in a transaction on a connection that has none."""
    await connection.execute(statement("begin"))
    try:
        yield
    except Exception:
        await _roll_back(connection)
        raise
    except BaseException:
        # On cancellation, close the connection: this rolls back without waiting.
        connection.terminate()
        raise
    if await connection.execute(statement("commit")) != "COMMIT":
        message = "a transaction was rolled back, as one of its statements had failed"
        raise DatabaseError(message)


@asynccontextmanager
async def savepoint(connection: Connection) -> AsyncIterator[None]:
    """Run the block in a savepoint; on an error, roll back only the block."""
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

"""Writing within the caller's own transaction.

A raw asyncpg connection, one acquired from an asyncpg pool, or an SQLAlchemy `AsyncSession` or
`AsyncConnection` on asyncpg. SQLAlchemy is not imported: who passes one of its sessions has it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import asyncpg
from asyncpg.pool import PoolConnectionProxy

from delivery.errors import InvalidInput, NoTransaction
from delivery.store.statements import statement

if TYPE_CHECKING:
    from delivery.store.connection import Connection

__all__ = ["caller_transaction"]


async def caller_transaction(given: Any) -> Connection:
    """The asyncpg connection behind `given`, on which a transaction is surely open.

    Raises:
        NoTransaction: if none is: what is written would be committed at once, whatever the caller
            does.
        InvalidInput: if `given` is no connection or session that can be used.
    """
    if isinstance(given, (asyncpg.Connection, PoolConnectionProxy)):
        connection: Connection = given
    elif type(given).__module__.startswith("sqlalchemy."):
        connection = await _of_sqlalchemy(given)
    else:
        message = (
            f"connection is of type {type(given).__name__}; give an asyncpg connection, or an"
            " SQLAlchemy AsyncSession or AsyncConnection on asyncpg"
        )
        raise InvalidInput(message)
    if not connection.is_in_transaction():
        message = (
            "the connection has no open transaction; open one first,"
            " for instance with `async with connection.transaction():`"
        )
        raise NoTransaction(message)
    return connection


async def _of_sqlalchemy(given: Any) -> Connection:
    if not hasattr(given, "in_transaction") or not hasattr(given, "scalar"):
        message = f"{type(given).__name__} of SQLAlchemy is not an AsyncSession or AsyncConnection"
        raise InvalidInput(message)
    if not given.in_transaction():
        message = (
            "the SQLAlchemy session has no open transaction; open one first,"
            " for instance with `async with session.begin():`"
        )
        raise NoTransaction(message)
    # A session hands out its connection; a connection can send statements by itself.
    owner = given if hasattr(given, "exec_driver_sql") else await given.connection()
    # SQLAlchemy sends BEGIN only with the first statement that goes through it; until then the raw
    # connection is not in a transaction, and what is written on it survives the session's rollback.
    await owner.exec_driver_sql(statement("begin_by_reading"))
    raw = (await owner.get_raw_connection()).driver_connection
    if not isinstance(raw, (asyncpg.Connection, PoolConnectionProxy)):
        message = f"the session's driver is {type(raw).__module__}; it must be asyncpg"
        raise InvalidInput(message)
    return raw

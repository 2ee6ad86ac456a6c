"""Writes in the transaction of a caller.

Callers pass an asyncpg connection, possibly of an asyncpg pool, or an SQLAlchemy `AsyncSession` or
`AsyncConnection` on asyncpg. SQLAlchemy is not imported: callers who pass its sessions have it.

The session can have other type codecs, another record class or another isolation level. The
statements therefore return one number, or rows that are read as text:

- With the record class and the codecs of asyncpg, statements are sent as on the engine's
  connections.
- Otherwise parameters are written into the statement as literals, and the result is read by COPY,
  which uses no codecs.
"""

from __future__ import annotations

import re
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakKeyDictionary

import asyncpg
from asyncpg.pool import PoolConnectionProxy

from delivery.errors import (
    ConnectionLost,
    DatabaseError,
    DatabaseUnavailable,
    InvalidInput,
    NoTransaction,
    UnusableConnection,
)
from delivery.store.driver.errors import DRIVER_ERRORS, describe, redact_error, translate
from delivery.store.driver.literals import inlined
from delivery.store.statements import statement

if TYPE_CHECKING:
    from collections.abc import Iterator

    from delivery.store.driver.connection import Connection, Pool, Queryable

__all__ = ["CallerConnections", "CallersTransaction", "is_open", "one_number"]

_TYPES: Final = (16, 17, 20, 21, 23, 25, 1184, 2950)
"""OIDs of the types of parameters and results: bool, bytea, int8, int2, int4, text, timestamptz,
uuid. They are the same on every server."""

_ANY_FORMAT: Final = -1

_ESCAPES: Final = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}
_ESCAPED: Final = re.compile(r"\\(.)", re.DOTALL)


def is_open(connection: Connection) -> bool:
    """Return True if a transaction is open on the connection, as known to the client."""
    try:
        return not connection.is_closed() and connection.is_in_transaction()
    except asyncpg.InterfaceError:
        # The connection was released to its pool.
        return False


class CallersTransaction:
    """Open transaction of a caller, for statements of the engine.

    Errors of the driver become errors of this package, with the driver's error as `__cause__`.
    """

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    async def number(self, name: str, *parameters: Any) -> int | None:
        """Execute a statement that returns one number; return None for NULL."""
        with _translated():
            if _is_customised(self.connection):
                ((text,),) = await self._copied(name, parameters)
                return None if text is None else int(text)
            row = await self.connection.fetchrow(
                statement(name), *parameters, record_class=asyncpg.Record
            )
            assert row is not None
            return row[0]  # type: ignore[no-any-return]

    async def texts(self, name: str, *parameters: Any) -> list[tuple[str | None, ...]]:
        """Execute a statement, and return its rows with each value in PostgreSQL's text format."""
        with _translated():
            return await self._copied(name, parameters)

    async def _copied(self, name: str, parameters: tuple[Any, ...]) -> list[tuple[str | None, ...]]:
        parts: list[bytes] = []

        async def take(data: bytes) -> None:
            parts.append(bytes(data))

        await self.connection.copy_from_query(
            inlined(statement(name), parameters), output=take, encoding="utf8"
        )
        lines = b"".join(parts).decode().split("\n")[:-1]
        return [tuple(map(_unescaped, line.split("\t"))) for line in lines]


def _unescaped(text: str) -> str | None:
    """Decode a value of COPY's text format; return None for NULL."""
    if "\\" not in text:
        return text
    if text == "\\N":
        return None
    return _ESCAPED.sub(lambda found: _ESCAPES.get(found[1], found[1]), text)


async def one_number(
    executor: Queryable | CallersTransaction, name: str, *parameters: Any
) -> int | None:
    """Execute a statement that returns one number or NULL, on either kind of connection."""
    if isinstance(executor, CallersTransaction):
        return await executor.number(name, *parameters)
    return await executor.fetchval(statement(name), *parameters)  # type: ignore[no-any-return]


def _is_customised(connection: Connection) -> bool:
    """Return True if rows, or a type in use, have other classes or codecs than asyncpg's."""
    raw: Any = getattr(connection, "_con", connection)
    try:
        protocol = raw._protocol  # noqa: SLF001
        if protocol.get_record_class() is not asyncpg.Record:
            return True
        codec_of = protocol.get_settings().get_data_codec
        return any(codec_of(oid) is not codec_of(oid, _ANY_FORMAT, True) for oid in _TYPES)  # noqa: FBT003
    except (AttributeError, TypeError):
        # Another release of asyncpg has other attributes. True is always safe.
        return True


class CallerConnections:
    """Checks of the connections and sessions that callers pass."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._place: object = None
        """Address and name of the pool's database."""
        self._identity: str | None = None
        self._verified: WeakKeyDictionary[Any, str] = WeakKeyDictionary()
        """Identity of the database of each connection with another address."""

    async def transaction(self, given: Any) -> CallersTransaction:
        """Return the transaction that is open on `given`.

        The connection must lead to the pool's database. If address or name differ, this is checked
        once per connection, by a statement that does not need the schema and so leaves the caller's
        transaction usable.

        Raises:
            NoTransaction: No transaction is open, so each write would be committed immediately.
            InvalidInput: `given` is not a supported connection or session.
            UnusableConnection: The connection is closed, busy, or leads to another database, or its
                transaction has failed.
            DatabaseError: A statement failed for another reason.
        """
        connection = await _connection_of(given)
        with _translated():
            if connection.is_closed():
                message = "the connection is closed; give one that is open"
                raise UnusableConnection(message)
            in_transaction = connection.is_in_transaction()
        if not in_transaction:
            message = (
                "the connection has no open transaction; open one first,"
                " for instance with `async with connection.transaction():`"
            )
            raise NoTransaction(message)
        transaction = CallersTransaction(connection)
        await self._verify(transaction)
        return transaction

    async def _verify(self, transaction: CallersTransaction) -> None:
        raw = getattr(transaction.connection, "_con", transaction.connection)
        if self._place is None:
            async with self._pool.acquire() as own:
                self._place = _place_of(own)
        if self._place is not None and _place_of(raw) == self._place:
            return
        if self._identity is not None and self._verified.get(raw) == self._identity:
            return
        ((theirs,),) = await transaction.texts("identify_database")
        if theirs is not None and theirs != self._identity:
            # The pool's database may have been replaced since it was identified.
            self._identity = await self._pool.fetchval(statement("identify_database"))
        if theirs is None or theirs != self._identity:
            which = (
                "without the schema of delivery" if theirs is None else "other than the engine's"
            )
            message = (
                f"the connection leads to a database {which};"
                " give a connection to the database that the engine uses"
            )
            raise UnusableConnection(message)
        self._verified[raw] = theirs


async def _connection_of(given: Any) -> Connection:
    if isinstance(given, (asyncpg.Connection, PoolConnectionProxy)):
        return given
    if type(given).__module__.startswith("sqlalchemy."):
        return await _of_sqlalchemy(given)
    message = (
        f"connection is of type {type(given).__name__}; give an asyncpg connection, or an"
        " SQLAlchemy AsyncSession or AsyncConnection on asyncpg"
    )
    raise InvalidInput(message)


def _place_of(connection: Any) -> object:
    """Return address and name of the connection's database; None if unknown."""
    try:
        return (connection._addr, connection._params.database)  # noqa: SLF001
    except AttributeError:
        # Another release of asyncpg has other attributes.
        return None


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
    try:
        # A session has a connection; a connection sends statements itself.
        owner = given if hasattr(given, "exec_driver_sql") else await given.connection()
        # SQLAlchemy sends BEGIN with its first statement. Until then the raw connection is not in a
        # transaction, and writes on it survive the session's rollback.
        await owner.exec_driver_sql(statement("begin_by_reading"))
        raw = (await owner.get_raw_connection()).driver_connection
    except Exception as error:
        # The classes of SQLAlchemy are unknown here, and they wrap the errors of the driver.
        message = f"the SQLAlchemy session cannot be used: {error}"
        raise UnusableConnection(message) from error
    if not isinstance(raw, (asyncpg.Connection, PoolConnectionProxy)):
        message = f"the session's driver is {type(raw).__module__}; it must be asyncpg"
        raise InvalidInput(message)
    return raw


_UNUSABLE: Final[tuple[tuple[type[BaseException], str], ...]] = (
    (
        asyncpg.InFailedSQLTransactionError,
        "the connection's transaction has failed before; roll it back and begin again",
    ),
    (
        asyncpg.ReadOnlySQLTransactionError,
        "the connection's transaction is read-only; open one that may write",
    ),
    (
        asyncpg.ConnectionDoesNotExistError,
        "the connection was lost, and its transaction with it; connect and begin again",
    ),
    (
        asyncpg.InterfaceError,
        "the connection cannot be used now: {error}; use it while it is open, and for one thing",
    ),
)
"""Errors of the caller's connection rather than the database; the first matching class is used. All
other errors have the same meaning as on the engine's connections."""


@contextmanager
def _translated() -> Iterator[None]:
    """Raise errors of the driver as errors of this package."""
    try:
        yield
    except DRIVER_ERRORS as error:
        translation = translate(error)
        if translation is None:
            raise
        redact_error(error)
        for kind, words in _UNUSABLE:
            if isinstance(error, kind):
                raise UnusableConnection(words.format(error=describe(error))) from error
        raise _in_transaction(translation.error, error) from error


def _in_transaction(found: DatabaseError, error: BaseException) -> DatabaseError:
    """Return an error of the same class that describes the state of the caller's transaction."""
    if isinstance(found, (ConnectionLost, DatabaseUnavailable)):
        return type(found)(
            f"the connection was lost, and its transaction with it: {describe(error)}"
        )
    if isinstance(error, TimeoutError):
        reason = "no response came in time; raise the command_timeout of the connection"
    else:
        reason = str(found)
    return type(found)(
        f"writing on the caller's connection failed: {reason}; its transaction can only be rolled"
        " back"
    )

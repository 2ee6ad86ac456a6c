"""The driver's errors in the terms of this package, and their meaning for the session.

Nothing here does I/O. Every statement's error passes through `translate`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from typing import Final

import asyncpg

from delivery.errors import (
    ConnectionLost,
    DatabaseConflict,
    DatabaseError,
    DatabaseOverloaded,
    DatabaseRestarting,
    DatabaseUnavailable,
    DiskFull,
    DuplicateValue,
    LoginRefused,
    MissingRights,
    PreparedStatementsLost,
    ReadOnlyDatabase,
    SchemaMismatch,
    StatementTimeout,
    TooManyConnections,
    ValueRefused,
    WrongEncoding,
)

__all__ = [
    "DRIVER_ERRORS",
    "Harm",
    "Translation",
    "describe",
    "redact_error",
    "translate",
    "unavailable",
]

DRIVER_ERRORS: Final = (
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    OSError,
)
"""All errors of the driver; TimeoutError is an OSError."""


class Harm(Enum):
    """Effect of an error on the session on which it occurred."""

    NONE = "none"
    """The session can be used again."""
    SESSION = "session"
    """This session is unusable."""
    SILENT = "silent"
    """The session did not respond in time; other sessions may not respond either."""
    SERVER = "server"
    """The server stops, is read-only or has changed its role: all its sessions are unusable."""


@dataclass(frozen=True, slots=True)
class Translation:
    """Error to raise, and its effect on the session."""

    error: DatabaseError
    harm: Harm
    open: bool = False
    """True if the connection remains open: the server reported the error of one statement."""


_Rule = tuple[type[DatabaseError], Harm, str]

_LOST: Final = (
    "the connection to the database was lost ({error}); whether the statement was executed is not"
    " known"
)
_RESTARTING: Final = (
    "the database is starting, stopping or recovering ({error}); try again when it runs"
)
_SCHEMA: Final = (
    "the database's schema is missing or altered ({error}); run `delivery migrate`, and check that"
    " database.url names the right database"
)
_POOLER: Final = (
    "a pooler has lost prepared statements ({error}); set database.statement_cache_size=0, or"
    " max_prepared_statements in PgBouncer 1.21 or later"
)
_CONFLICT: Final = "another transaction was in the way ({error}); try again"
_READ_ONLY: Final = (
    "the database is read-only ({error}); use the primary server's address in database.url, or"
    " switch default_transaction_read_only off"
)
_RIGHTS: Final = "the database role lacks rights ({error}); grant them, or use another role"
_SERVER_FAULT: Final = "the database failed ({error}); see the server's log"

_BY_SQLSTATE: Final[dict[str, _Rule]] = {
    "0A000": (DatabaseError, Harm.SESSION, _SERVER_FAULT),
    "22P05": (
        WrongEncoding,
        Harm.NONE,
        "the database's encoding lacks a character ({error}); use a database of encoding UTF8",
    ),
    "23505": (DuplicateValue, Harm.NONE, "the database has this value already: {error}"),
    "25006": (ReadOnlyDatabase, Harm.SERVER, _READ_ONLY),
    "25P03": (ConnectionLost, Harm.SESSION, _LOST),
    "25P04": (ConnectionLost, Harm.SESSION, _LOST),
    "26000": (PreparedStatementsLost, Harm.SESSION, _POOLER),
    "3F000": (SchemaMismatch, Harm.NONE, _SCHEMA),
    # Usually a standby that cancels a statement in conflict with its replay: READ COMMITTED rarely
    # fails in this way.
    "40001": (DatabaseConflict, Harm.SERVER, _CONFLICT),
    "40P01": (DatabaseConflict, Harm.NONE, _CONFLICT),
    "42501": (MissingRights, Harm.NONE, _RIGHTS),
    "42703": (SchemaMismatch, Harm.SESSION, _SCHEMA),
    "42704": (SchemaMismatch, Harm.SESSION, _SCHEMA),
    "42804": (SchemaMismatch, Harm.SESSION, _SCHEMA),
    "42883": (SchemaMismatch, Harm.SESSION, _SCHEMA),
    "42P01": (SchemaMismatch, Harm.SESSION, _SCHEMA),
    "42P05": (PreparedStatementsLost, Harm.SESSION, _POOLER),
    "53100": (
        DiskFull,
        Harm.NONE,
        "the disk of the database server is full ({error}); make room on it",
    ),
    "53300": (
        TooManyConnections,
        Harm.SESSION,
        "{error}; raise the server's max_connections, or lower database.pool_size",
    ),
    "55006": (DatabaseConflict, Harm.NONE, _CONFLICT),
    "55P03": (DatabaseConflict, Harm.NONE, _CONFLICT),
    "57014": (
        StatementTimeout,
        Harm.NONE,
        "the server canceled a statement ({error}); raise its statement_timeout",
    ),
    "57P01": (DatabaseRestarting, Harm.SERVER, _RESTARTING),
    "57P02": (DatabaseRestarting, Harm.SERVER, _RESTARTING),
    "57P03": (DatabaseRestarting, Harm.SERVER, _RESTARTING),
    "57P04": (ConnectionLost, Harm.SERVER, _LOST),
    "57P05": (ConnectionLost, Harm.SESSION, _LOST),
}

_BY_CLASS: Final[dict[str, _Rule]] = {
    "08": (ConnectionLost, Harm.SESSION, _LOST),
    "22": (ValueRefused, Harm.NONE, "the database refused a value: {error}"),
    "23": (ValueRefused, Harm.NONE, "the database refused a value: {error}"),
    "28": (
        MissingRights,
        Harm.SESSION,
        "the database refused the role ({error}); check the user in database.url",
    ),
    "40": (DatabaseConflict, Harm.NONE, _CONFLICT),
    "53": (
        DatabaseOverloaded,
        Harm.SESSION,
        "the database server lacks a resource ({error}); see its log",
    ),
    "54": (ValueRefused, Harm.NONE, "the database refused a value: {error}"),
    "58": (DatabaseError, Harm.SESSION, _SERVER_FAULT),
    "XX": (DatabaseError, Harm.SESSION, _SERVER_FAULT),
}

_ARGUMENT: Final = re.compile(r"invalid input for query argument (\$\d+)")
"""Beginning of the driver's message about an argument that it cannot encode; the value follows."""


def translate(error: BaseException) -> Translation | None:
    """Translate an error of the driver; return None for any other error."""
    if isinstance(error, asyncpg.PostgresError):
        return _of_server(error)
    found: DatabaseError
    if isinstance(error, TimeoutError):
        found = StatementTimeout(
            "the database did not respond in time; raise database.statement_timeout"
        )
    elif isinstance(error, DRIVER_ERRORS):
        # InternalClientError too: a killed server corrupts the state of the driver.
        found = ConnectionLost(_LOST.format(error=describe(error)))
    else:
        return None
    return Translation(found, Harm.SESSION)


def _of_server(error: asyncpg.PostgresError) -> Translation:
    cause = error.__cause__
    if isinstance(error, asyncpg.ConnectionDoesNotExistError) and isinstance(
        cause, asyncpg.PostgresError
    ):
        # The cause is the server's reason for closing the connection.
        error = cause
    state = getattr(error, "sqlstate", None) or ""
    kind, harm, words = _BY_SQLSTATE.get(state) or _BY_CLASS.get(
        state[:2], (DatabaseError, Harm.NONE, _SERVER_FAULT)
    )
    severity = getattr(error, "severity_en", None) or getattr(error, "severity", None)
    if severity in {"FATAL", "PANIC"} and harm is Harm.NONE:
        harm = Harm.SESSION
    text = describe(error)
    if state.startswith("08") and "too many" in text.lower():
        kind, words = TooManyConnections, "{error}; raise the pooler's limit"
    return Translation(kind(words.format(error=text)), harm, open=severity == "ERROR")


def describe(error: BaseException) -> str:
    """Return an error's own message on one line, without details that may show stored values.

    All error messages, log lines and rows take the text of a driver's error from here.
    """
    text = str(error)
    if isinstance(error, (asyncpg.PostgresError, asyncpg.InterfaceError)):
        # `str` appends the server's details, which quote the row.
        text = str(error.args[0]) if error.args else getattr(error, "sqlstate", None) or ""
    argument = _ARGUMENT.search(text)
    if argument:
        text = f"argument {argument[1]} has the wrong type or range"
    return " ".join(text.split()) or type(error).__name__


def redact_error(error: BaseException) -> None:
    """Remove stored values from a driver's error before it becomes the cause of another error.

    Tracebacks print causes, including the server's details and values that the driver could not
    encode.
    """
    if not isinstance(error, asyncpg.PostgresError):
        return
    if error.detail:
        error.detail = None
    if error.args and _ARGUMENT.search(str(error.args[0])):
        error.args = (describe(error),)
        # The cause contains the value too.
        error.__cause__ = error.__context__ = None
    if isinstance(error.__cause__, asyncpg.PostgresError):
        redact_error(error.__cause__)


def unavailable(error: BaseException) -> type[DatabaseUnavailable]:
    """Return the class of an error that prevented a connection."""
    if isinstance(
        error,
        (
            asyncpg.InvalidAuthorizationSpecificationError,
            asyncpg.InvalidCatalogNameError,
            asyncpg.InsufficientPrivilegeError,
        ),
    ):
        return LoginRefused
    translation = translate(error)
    if translation is not None and isinstance(translation.error, DatabaseUnavailable):
        return type(translation.error)
    return DatabaseUnavailable

"""Connections to PostgreSQL, and in plain words why there is none."""

from __future__ import annotations

import socket
import ssl
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import asyncpg

from delivery.errors import DatabaseUnavailable
from delivery.settings import hide_password, parse_database_url, without_password

if TYPE_CHECKING:
    from asyncpg.pool import PoolConnectionProxy

    from delivery.settings import Settings
    from delivery.settings.database_url import DriverUrl

__all__ = ["Connection", "Executor", "Pool", "connect", "open_pool"]

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record] | PoolConnectionProxy[asyncpg.Record]"
"""One connection, on which a transaction can be opened."""
Pool: TypeAlias = "asyncpg.Pool[asyncpg.Record]"
Executor: TypeAlias = "Connection | Pool"
"""Anything a single statement can be executed on."""

# Only what PgBouncer accepts at the start of a session, and nothing that correctness rests on.
_SERVER_SETTINGS: Final = {"application_name": "delivery", "timezone": "UTC"}

_PLAN_LIFETIME: Final = 10
"""Seconds."""

_START = "start PostgreSQL, or correct host and port in database.url"
_ADVICE: Final[tuple[tuple[type[BaseException], str], ...]] = (
    (asyncpg.InvalidPasswordError, "{error}; the password is wrong; correct database.url"),
    (
        asyncpg.InvalidAuthorizationSpecificationError,
        "{error}; check the user in database.url, and the server's pg_hba.conf",
    ),
    (asyncpg.InvalidCatalogNameError, "{error}; create it, or correct its name in database.url"),
    (
        asyncpg.TooManyConnectionsError,
        "{error}; raise the server's max_connections, or lower database.pool_size",
    ),
    (asyncpg.CannotConnectNowError, "{error}; it is starting, stopping or recovering: try again"),
    (asyncpg.InsufficientPrivilegeError, "{error}; grant the user CONNECT on the database"),
    (asyncpg.UndefinedObjectError, "{error}; remove it from the query of database.url"),
    (TimeoutError, "no answer within {timeout:g} s; check host, port, and firewalls between"),
    (socket.gaierror, "the host name cannot be resolved; correct it in database.url ({error})"),
    (ConnectionRefusedError, f"nothing listens there; {_START}"),
    (FileNotFoundError, f"nothing listens there; {_START}"),
    (ssl.SSLError, "TLS failed: {error}; check sslmode and the certificates"),
    (
        ValueError,
        "the URL cannot be used: {error};"  # noqa: ISC004 - one text, too long for a line
        " it must look like postgresql://user:password@host:5432/database",
    ),
)
"""What to say about an error; the first that fits counts."""


async def open_pool(settings: Settings, url: str) -> Pool:
    """Open a pool of connections to `url`, of the size in `settings.database`.

    Statements are planned anew after a while: a plan that scans a partition of the day because it
    was tiny must not be used for long when it has grown.

    Connections go back to the pool without the usual RESET and UNLISTEN round trip: a transaction
    left open is rolled back, and no other session state may be made on them.

    Raises:
        DatabaseUnavailable: The first connection cannot be made.
    """
    database = settings.database
    timeout = database.connect_timeout
    try:
        target = parse_database_url(url)
        timeout = target.connect_timeout or timeout
        return await asyncpg.create_pool(
            target.dsn,
            min_size=1,
            max_size=database.pool_size,
            timeout=timeout,
            statement_cache_size=database.statement_cache_size,
            max_cached_statement_lifetime=_PLAN_LIFETIME,
            server_settings=_server_settings(target),
            reset=_keep,
        )
    except (OSError, ValueError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise _unavailable(error, url, timeout) from _shown(error, url)


async def connect(
    url: str,
    timeout: float,
    *,
    statement_cache_size: int = 1024,
) -> asyncpg.Connection[asyncpg.Record]:
    """Open one connection to `url` within `timeout` seconds.

    Raises:
        DatabaseUnavailable: It cannot be made.
    """
    try:
        target = parse_database_url(url)
        timeout = target.connect_timeout or timeout
        return await asyncpg.connect(
            target.dsn,
            timeout=timeout,
            statement_cache_size=statement_cache_size,
            server_settings=_server_settings(target),
        )
    except (OSError, ValueError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise _unavailable(error, url, timeout) from _shown(error, url)


async def _keep(connection: asyncpg.Connection[Any]) -> None:
    """Leave the session as it is; asyncpg itself has rolled an open transaction back by now."""
    del connection


def _unavailable(error: BaseException, url: str, timeout: float) -> DatabaseUnavailable:
    """The error to raise: the URL without its password, what happened, what to do."""
    reason = hide_password(_reason(error, timeout), url)
    return DatabaseUnavailable(f"cannot connect to {without_password(url)}: {reason}")


def _shown(error: BaseException, url: str) -> BaseException | None:
    """The error as a cause; None if its text repeats part of a password."""
    return error if hide_password(str(error), url) == str(error) else None


def _server_settings(target: DriverUrl) -> dict[str, str]:
    """What a session begins with."""
    if target.application_name is None:
        return _SERVER_SETTINGS
    return {**_SERVER_SETTINGS, "application_name": target.application_name}


def _reason(error: BaseException, timeout: float) -> str:
    for kind, words in _ADVICE:
        if isinstance(error, kind):
            return words.format(error=error, timeout=timeout)
    return str(error) or type(error).__name__

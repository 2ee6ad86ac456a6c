"""Connections to PostgreSQL, and the reasons why a connection fails."""

from __future__ import annotations

import socket
import ssl
from typing import TYPE_CHECKING, Any, Final, TypeAlias
from urllib.parse import parse_qs, urlsplit

import asyncpg

from delivery.errors import DatabaseUnavailable, ReadOnlyDatabase
from delivery.settings import parse_database_url, redact_password, without_password
from delivery.settings.embedded_url import is_embedded
from delivery.store.driver.errors import DRIVER_ERRORS, unavailable
from delivery.store.driver.pool import Pool
from delivery.store.driver.session import Session

if TYPE_CHECKING:
    from asyncpg.pool import PoolConnectionProxy

    from delivery.settings import Settings
    from delivery.settings.database_url import DriverUrl

__all__ = ["Connection", "Pool", "Queryable", "Session", "connect", "open_pool"]

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record] | PoolConnectionProxy[asyncpg.Record]"
"""One connection, for transactions: a `Session`, or the connection of a caller."""
Queryable: TypeAlias = "Connection | Pool"
"""Connection or pool, for single statements."""

# PgBouncer accepts these at the start of a session, and correctness does not depend on them.
_SERVER_SETTINGS: Final = {"application_name": "delivery", "timezone": "UTC"}

_PLAN_LIFETIME: Final = 10
"""Seconds for which prepared statements are used."""

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
    (TimeoutError, "no response within {timeout:g} s; check host, port and firewalls"),
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
"""Message for each error; the first matching class is used."""


async def open_pool(settings: Settings, url: str) -> Pool:
    """Open a pool of connections to `url`, with the size in `settings.database`.

    Prepared statements expire soon: a plan that scans today's partition because it was tiny must
    not be used for long after the partition has grown.

    Connections return to the pool without the usual round trip for RESET and UNLISTEN, so callers
    must not create session state on them.

    Raises:
        DatabaseUnavailable: The first connection cannot be made.
    """
    database = settings.database

    async def open_session() -> Session:
        return await connect(
            url,
            database.connect_timeout,
            statement_cache_size=database.statement_cache_size,
            statement_timeout=database.statement_timeout,
            plan_lifetime=_PLAN_LIFETIME,
        )

    pool = Pool(open_session, size=database.pool_size, acquire_timeout=database.statement_timeout)
    # Raise an error immediately if no connection can be made.
    async with pool.acquire():
        return pool


async def connect(
    url: str,
    timeout: float,
    *,
    statement_cache_size: int = 1024,
    statement_timeout: float = 30.0,
    plan_lifetime: int = 300,
) -> Session:
    """Open one connection to `url` within `timeout` seconds.

    With several hosts it uses the first that accepts writes, unless the URL sets another rule.

    Args:
        url: URL of the database.
        timeout: Seconds for connecting.
        statement_cache_size: Maximum number of prepared statements.
        statement_timeout: Default timeout of a statement, in seconds.
        plan_lifetime: Seconds for which a prepared statement is used.

    Raises:
        DatabaseUnavailable: The connection cannot be made.
        ReadOnlyDatabase: None of several hosts accepts writes.
    """
    try:
        target = parse_database_url(url)
        timeout = target.connect_timeout or timeout
        session: Session = await asyncpg.connect(
            target.dsn,
            timeout=timeout,
            statement_cache_size=statement_cache_size,
            max_cached_statement_lifetime=plan_lifetime,
            server_settings=_server_settings(target),
            connection_class=Session,
            **{"target_session_attrs": _wanted(url), **_without_environment(url)},
        )
    except asyncpg.TargetServerAttributeNotMatched as error:
        message = (
            f"none of the servers of {without_password(url)} accepts writes; see which one is the"
            " primary"
        )
        raise ReadOnlyDatabase(message) from error
    except (*DRIVER_ERRORS, ValueError) as error:
        raise _unavailable(error, url, timeout) from _safe_cause(error, url)
    session.statement_timeout = statement_timeout
    return session


def _without_environment(url: str) -> dict[str, Any]:
    """Return arguments that override the environment of libpq for the embedded server.

    Variables such as PGSSLMODE and PGTARGETSESSIONATTRS describe another server. For a server in
    the settings they replace missing parts of the URL.
    """
    if not is_embedded(url):
        return {}
    return {
        "password": "",
        "ssl": False,
        "direct_tls": False,
        "target_session_attrs": "any",
        "gsslib": "gssapi",
    }


def _wanted(url: str) -> Any:
    """Return the required kind of server: several hosts without a rule must accept writes."""
    try:
        parts = urlsplit(url)
        query = parse_qs(parts.query)
    except ValueError:
        return None
    several = any("," in hosts for hosts in (parts.netloc, *query.get("host", ())))
    return "read-write" if several and "target_session_attrs" not in query else None


def _unavailable(error: BaseException, url: str, timeout: float) -> DatabaseUnavailable:
    """Return the error to raise: the URL without its password, the reason and the remedy."""
    reason = redact_password(_reason(error, timeout), url)
    return unavailable(error)(f"cannot connect to {without_password(url)}: {reason}")


def _safe_cause(error: BaseException, url: str) -> BaseException | None:
    """Return the error as a cause; None if its text contains part of a password."""
    return error if redact_password(str(error), url) == str(error) else None


def _server_settings(target: DriverUrl) -> dict[str, str]:
    """Return the initial settings of a session."""
    if target.application_name is None:
        return _SERVER_SETTINGS
    return {**_SERVER_SETTINGS, "application_name": target.application_name}


def _reason(error: BaseException, timeout: float) -> str:
    for kind, words in _ADVICE:
        if isinstance(error, kind):
            return words.format(error=error, timeout=timeout)
    return str(error) or type(error).__name__

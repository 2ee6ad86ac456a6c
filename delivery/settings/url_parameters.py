"""Parameters of a database URL, supported and unsupported.

The URLs of hosting providers are for libpq. The driver, asyncpg, sends each unknown parameter to
the server as a setting, and the server then refuses the connection. Each parameter of libpq is
therefore supported, dropped because it has no effect here, or rejected by name.
"""

from __future__ import annotations

from typing import Final

__all__ = ["DRIVER", "FOREIGN", "LIBPQ", "PASSWORDS", "refusal_of"]

PASSWORDS: Final = frozenset({"password", "sslpassword"})
"""Parameters that contain a password."""

DRIVER: Final = frozenset(
    {
        *("service", "host", "port", "dbname", "database", "user", "password", "passfile"),
        *("sslmode", "sslcert", "sslkey", "sslrootcert", "sslnegotiation", "sslcrl", "sslpassword"),
        *("ssl_min_protocol_version", "ssl_max_protocol_version", "target_session_attrs"),
        *("krbsrvname", "gsslib", "options"),
    }
)
"""Parameters that the driver supports."""

_HARMLESS: Final[dict[str, frozenset[str] | None]] = {
    "channel_binding": frozenset({"disable", "prefer"}),
    "client_encoding": frozenset({"auto", "unicode", "utf8", "utf-8"}),
    "gssdelegation": frozenset({"0"}),
    "gssencmode": frozenset({"disable", "prefer"}),
    "keepalives": None,
    "keepalives_count": None,
    "keepalives_idle": None,
    "keepalives_interval": None,
    "load_balance_hosts": frozenset({"disable"}),
    "max_protocol_version": None,
    "min_protocol_version": frozenset({"3.0"}),
    "replication": frozenset({"false", "off", "no", "0"}),
    "requiressl": frozenset({"0"}),
    "sslcertmode": frozenset({"allow"}),
    "sslcompression": None,
    "sslsni": frozenset({"1"}),
    "tcp_user_timeout": None,
}
"""Parameters of libpq without an effect, with the values that the driver implies (None: any). The
engine has a timeout for each statement, so keepalives are not needed."""

_ADVICE: Final = {
    "channel_binding": "the driver cannot bind channels; remove it, and verify the server with"
    " sslmode=verify-full",
    "client_encoding": "the engine uses UTF-8; remove it",
    "gssencmode": "the driver cannot encrypt by GSSAPI; remove it, and use sslmode",
    "hostaddr": "give the address as the host",
    "load_balance_hosts": "the driver tries hosts in their order; remove it",
    "replication": "the engine needs an ordinary connection; remove it",
    "require_auth": "the driver cannot restrict how it authenticates; remove it, and verify the"
    " server with sslmode=verify-full",
    "requirepeer": "the driver cannot check the server's user; remove it",
    "requiressl": "use sslmode=require",
    "servicefile": "name the file in the environment variable PGSERVICEFILE",
    "sslcertmode": "the driver sends a certificate if it has one; remove it",
    "sslcrldir": "name a file with sslcrl",
    "sslsni": "the driver always names the host; remove it",
}
_REMOVE: Final = "the driver does not support it; remove it"

LIBPQ: Final = (
    DRIVER
    | frozenset(_HARMLESS)
    | frozenset(_ADVICE)
    | {
        *("application_name", "connect_timeout", "fallback_application_name"),
        *("scram_client_key", "scram_server_key", "sslkeylogfile", "oauth_client_id"),
        *("oauth_client_secret", "oauth_issuer", "oauth_scope"),
    }
)
"""All parameters of libpq and of the driver."""

FOREIGN: Final = {
    "connection_limit": "it belongs to another driver; remove it, and set database.pool_size",
    "pgbouncer": "it belongs to another driver; remove it, and set database.statement_cache_size to"
    " 0 for a PgBouncer older than 1.21",
    "pool_timeout": "it belongs to another driver; remove it, and set database.connect_timeout",
    "prepareThreshold": "it belongs to another driver; remove it, and set"
    " database.statement_cache_size",
    "schema": "it belongs to another driver, and the engine's schema is always `delivery`;"
    " remove it",
    "socket_timeout": "it belongs to another driver; remove it",
    "ssl": "it belongs to another driver; use sslmode=require, or sslmode=verify-full",
    "sslaccept": "it belongs to another driver; use sslmode",
    "uselibpqcompat": "it belongs to another driver; remove it",
}
"""Parameters of other drivers, and the advice for each."""


def refusal_of(name: str, value: str) -> str | None:
    """Return the problem of a parameter unknown to the driver; None if it has no effect.

    Args:
        name: A name in `LIBPQ` or `FOREIGN` that is not in `DRIVER`.
        value: Decoded value.
    """
    if name in FOREIGN:
        return FOREIGN[name]
    harmless = _HARMLESS.get(name, frozenset())
    if harmless is None or value.lower() in harmless:
        return None
    return _ADVICE.get(name, _REMOVE)

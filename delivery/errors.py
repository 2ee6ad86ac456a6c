"""Everything `delivery` raises on purpose, as one tree.

Each class carries a stable `code`, which programs may match on, and an `exit_code`, with which the
command line ends when the error reaches it. The text of an error says what is wrong and what to do.

    DeliveryError                      internal_error
    ├── InvalidInput                   invalid_input         the caller's value cannot be used
    │   ├── InvalidPayload             invalid_payload       not JSON, or too large
    │   ├── InvalidReaction            invalid_reaction      url, method, headers, body, limits…
    │   ├── InvalidSecret              invalid_secret        a signing secret of the wrong form
    │   └── InvalidSetting             invalid_setting       unknown key, wrong type, out of range
    ├── InvalidSignature               invalid_signature     a received message is not to be trusted
    ├── MissingKey                     missing_key           sealed with a key that is not here
    ├── NotFound                       not_found             no such trigger, reaction, job or log
    ├── NoTransaction                  no_transaction        `connection=` has no open transaction
    ├── UnusableConnection             unusable_connection   `connection=` is closed or failed
    ├── JobTimeout                     job_timeout           `wait` ended before the job did
    ├── DatabaseError                  database_error        the database failed
    │   ├── DatabaseUnavailable        database_unavailable  no connection can be made
    │   │   ├── LoginRefused           login_refused         wrong password, role or database name
    │   │   ├── DatabaseRestarting     database_restarting   starting, stopping or recovering
    │   │   └── TooManyConnections     too_many_connections  the server has no connection left
    │   ├── ConnectionLost             connection_lost       closed in the middle of a statement
    │   ├── StatementTimeout           statement_timeout     no response within the deadline
    │   ├── PoolExhausted              pool_exhausted        no connection of the pool became free
    │   ├── ReadOnlyDatabase           read_only_database    a standby, or a read-only session
    │   ├── MissingRights              missing_rights        the role may not do this
    │   ├── WrongEncoding              wrong_encoding        the database is not UTF-8
    │   ├── DiskFull                   disk_full             the server's disk is full
    │   ├── DatabaseOverloaded         database_overloaded   out of memory or another resource
    │   ├── DatabaseConflict           database_conflict     deadlock or lock timeout
    │   ├── PreparedStatementsLost     prepared_statements   a pooler does not keep them
    │   ├── ValueRefused               value_refused         a value that cannot be stored
    │   │   └── DuplicateValue         duplicate_value       it is there already
    │   ├── EmbeddedDatabaseError      embedded_database     the embedded PostgreSQL cannot be used
    │   └── SchemaMismatch             schema_mismatch       schema missing, older, newer or altered
    └── AddressInUse                   address_in_use        a port to listen on is taken
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Any, ClassVar, Final

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID

__all__ = [
    "AddressInUse",
    "ConnectionLost",
    "DatabaseConflict",
    "DatabaseError",
    "DatabaseOverloaded",
    "DatabaseRestarting",
    "DatabaseUnavailable",
    "DeliveryError",
    "DiskFull",
    "DuplicateValue",
    "EmbeddedDatabaseError",
    "InvalidInput",
    "InvalidPayload",
    "InvalidReaction",
    "InvalidSecret",
    "InvalidSetting",
    "InvalidSignature",
    "JobTimeout",
    "LoginRefused",
    "MissingKey",
    "MissingRights",
    "NoTransaction",
    "NotFound",
    "PoolExhausted",
    "PreparedStatementsLost",
    "ReadOnlyDatabase",
    "SchemaMismatch",
    "SignatureProblem",
    "StatementTimeout",
    "TooManyConnections",
    "UnusableConnection",
    "ValueRefused",
    "WrongEncoding",
]


_LONGEST: Final = 1_000
_HEAD: Final = 600
_TAIL: Final = 300


class DeliveryError(Exception):
    """The root of the tree: catch it to catch everything this package raises on purpose."""

    code: ClassVar[str] = "internal_error"
    exit_code: ClassVar[int] = 1

    def details(self) -> dict[str, Any]:
        """Return the data of the error, for programs."""
        return {}


class InvalidInput(DeliveryError, ValueError):
    """A value given by the caller cannot be used; nothing was written.

    A message of more than 1,000 characters is cut in its middle: values can be of any length, and
    the advice is at the end.
    """

    code = "invalid_input"
    exit_code = 2

    def __init__(self, message: str = "") -> None:
        if len(message) > _LONGEST:
            message = f"{message[:_HEAD]} … {message[-_TAIL:]}"
        super().__init__(message)


class InvalidPayload(InvalidInput):
    """A trigger's payload is not JSON, or larger than `limits.max_payload_bytes`."""

    code = "invalid_payload"


class InvalidReaction(InvalidInput):
    """A reaction's or direct job's request, policy or limit is not acceptable."""

    code = "invalid_reaction"


class InvalidSecret(InvalidInput):
    """A signing secret is not `whsec_` and 24 to 64 bytes of base64, nor an ed25519 `whsk_`."""

    code = "invalid_secret"


class InvalidSetting(InvalidInput):
    """A configuration key is unknown, or its value is of the wrong type or out of range."""

    code = "invalid_setting"


class SignatureProblem(StrEnum):
    """Why a received message is not to be trusted."""

    MISSING = "missing"
    """One of the three headers is missing or empty."""
    MALFORMED = "malformed"
    """A header is not of the form that Standard Webhooks defines."""
    UNKNOWN_KIND = "unknown_kind"
    """No signature is of a kind that the given secrets can verify."""
    MISMATCH = "mismatch"
    """The message was signed with another secret, or changed on its way."""
    TOO_OLD = "too_old"
    """The timestamp lies further in the past than is tolerated."""
    TOO_NEW = "too_new"
    """The timestamp lies further in the future than is tolerated."""


class InvalidSignature(DeliveryError, ValueError):
    """A received message is not signed with one of the secrets, too old, or lacks a header."""

    code = "invalid_signature"

    def __init__(self, message: str, reason: SignatureProblem = SignatureProblem.MISMATCH) -> None:
        super().__init__(message)
        self.reason = reason


class MissingKey(DeliveryError):
    """Something stored is sealed with a key that `secrets.keys` does not hold."""

    code = "missing_key"
    exit_code = 2


class NotFound(DeliveryError, LookupError):
    """There is no such object in this tenant."""

    code = "not_found"
    exit_code = 4


class NoTransaction(DeliveryError):
    """`connection=` was given a connection or session on which no transaction is open."""

    code = "no_transaction"
    exit_code = 2


class UnusableConnection(DeliveryError):
    """`connection=` is closed or busy, its transaction has failed, or it leads elsewhere.

    Nothing was written. The error of the driver, if there was one, is the `__cause__`.
    """

    code = "unusable_connection"
    exit_code = 2


class JobTimeout(DeliveryError, TimeoutError):
    """A job was not finished when the time given to `wait` was over.

    Attributes:
        trigger_id: The trigger that was waited for, if it was one.
        unfinished: How many jobs were not finished.
        job_id: The first of them; what follows is about it.
        status: Its status, such as `retrying`.
        attempt: Attempts begun so far.
        max_attempts: Attempts that it has altogether.
        failure_kind: Why the last attempt failed, such as `timeout`.
        status_code: The status of the last response.
        last_error: The error of the last attempt.
        next_attempt_at: When the next attempt is due; None while one is under way.
        living_workers: How many workers were running; with none, no job is ever finished.
    """

    code = "job_timeout"
    exit_code = 5

    def __init__(
        self,
        message: str = "",
        *,
        trigger_id: UUID | None = None,
        unfinished: int = 1,
        job_id: UUID | None = None,
        status: str | None = None,
        attempt: int | None = None,
        max_attempts: int | None = None,
        failure_kind: str | None = None,
        status_code: int | None = None,
        last_error: str | None = None,
        next_attempt_at: datetime | None = None,
        living_workers: int | None = None,
    ) -> None:
        super().__init__(message)
        self.trigger_id = trigger_id
        self.unfinished = unfinished
        self.job_id = job_id
        self.status = status
        self.attempt = attempt
        self.max_attempts = max_attempts
        self.failure_kind = failure_kind
        self.status_code = status_code
        self.last_error = last_error
        self.next_attempt_at = next_attempt_at
        self.living_workers = living_workers

    def details(self) -> dict[str, Any]:
        """Return the attributes by name."""
        return {name: value for name, value in vars(self).items() if not name.startswith("_")}


class DatabaseError(DeliveryError):
    """The database failed, or something about it keeps the engine from working."""

    code = "database_error"
    exit_code = 3
    transient: ClassVar[bool] = False
    """Whether the same may succeed later without a change to settings, rights or schema."""


class DatabaseUnavailable(DatabaseError):
    """No connection can be made: the server is unreachable, or the URL is wrong."""

    code = "database_unavailable"
    transient = True


class LoginRefused(DatabaseUnavailable):
    """The server refused the password, the role or the name of the database."""

    code = "login_refused"
    transient = False


class DatabaseRestarting(DatabaseUnavailable):
    """The server is starting, stopping or recovering.

    If it ended the session in the middle of a statement, it is unknown whether the statement was
    executed.
    """

    code = "database_restarting"


class TooManyConnections(DatabaseUnavailable):
    """The server or a pooler has no connection left."""

    code = "too_many_connections"


class ConnectionLost(DatabaseError):
    """The connection was closed during a statement; it is unknown whether it was executed."""

    code = "connection_lost"
    transient = True


class StatementTimeout(DatabaseError):
    """A statement had no response in time; it is unknown whether it was executed."""

    code = "statement_timeout"
    transient = True


class PoolExhausted(DatabaseError):
    """No connection of the pool became free in time; nothing was executed."""

    code = "pool_exhausted"
    transient = True


class ReadOnlyDatabase(DatabaseError):
    """The server is a standby, or sessions are read-only by default; nothing was written."""

    code = "read_only_database"
    transient = True


class MissingRights(DatabaseError):
    """The role lacks the rights for a statement; nothing was written."""

    code = "missing_rights"


class WrongEncoding(DatabaseError):
    """The encoding of the database is not UTF-8."""

    code = "wrong_encoding"


class DiskFull(DatabaseError):
    """The disk of the server is full."""

    code = "disk_full"
    transient = True


class DatabaseOverloaded(DatabaseError):
    """The server lacks memory or another resource."""

    code = "database_overloaded"
    transient = True


class DatabaseConflict(DatabaseError):
    """Another transaction was in the way: a deadlock or a lock timeout; nothing was written."""

    code = "database_conflict"
    transient = True


class PreparedStatementsLost(DatabaseError):
    """A pooler between here and the server does not keep prepared statements."""

    code = "prepared_statements"


class ValueRefused(DatabaseError):
    """The database refused a value; nothing was written."""

    code = "value_refused"
    exit_code = 2


class DuplicateValue(ValueRefused):
    """The new object exists already."""

    code = "duplicate_value"


class EmbeddedDatabaseError(DatabaseError):
    """The embedded PostgreSQL could not be started on its data directory."""

    code = "embedded_database"


class SchemaMismatch(DatabaseError):
    """The schema is missing, older or newer than this engine, or a migration was altered."""

    code = "schema_mismatch"


class AddressInUse(DeliveryError):
    """Another program listens on the address asked for."""

    code = "address_in_use"
    exit_code = 6

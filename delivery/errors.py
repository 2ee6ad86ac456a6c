"""Tree of the errors that `delivery` raises.

Each class has a stable `code` for programs and an `exit_code` of the command line. The message of
an error contains the problem and its remedy.

    DeliveryError                      internal_error
    ├── InvalidInput                   invalid_input         an argument is invalid
    │   ├── InvalidPayload             invalid_payload       not JSON, or too large
    │   ├── InvalidReaction            invalid_reaction      url, method, headers, body, limits…
    │   ├── InvalidSecret              invalid_secret        malformed signing secret
    │   └── InvalidSetting             invalid_setting       unknown key, wrong type, out of range
    ├── InvalidSignature               invalid_signature     a received message is not authentic
    ├── MissingKey                     missing_key           encrypted with an unknown key
    ├── NotFound                       not_found             no such trigger, reaction, job or log
    ├── NoTransaction                  no_transaction        `connection=` has no open transaction
    ├── UnusableConnection             unusable_connection   `connection=` is closed or failed
    ├── JobTimeout                     job_timeout           `wait` ended before the job did
    ├── DatabaseError                  database_error        the database failed
    │   ├── DatabaseUnavailable        database_unavailable  cannot connect
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
    │   ├── PreparedStatementsLost     prepared_statements   a pooler does not preserve them
    │   ├── ValueRefused               value_refused         the database rejected a value
    │   │   └── DuplicateValue         duplicate_value       the object already exists
    │   ├── EmbeddedDatabaseError      embedded_database     the embedded PostgreSQL cannot start
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


_MAX_LENGTH: Final = 1_000
_HEAD_LENGTH: Final = 600
_TAIL_LENGTH: Final = 300


class DeliveryError(Exception):
    """Base class of all errors of this package."""

    code: ClassVar[str] = "internal_error"
    exit_code: ClassVar[int] = 1

    def details(self) -> dict[str, Any]:
        """Return the data of the error, for programs."""
        return {}


class InvalidInput(DeliveryError, ValueError):
    """An argument is invalid. Nothing was written.

    The middle of a message of more than 1,000 characters is removed: it may contain a long value,
    and the advice is at the end.
    """

    code = "invalid_input"
    exit_code = 2

    def __init__(self, message: str = "") -> None:
        if len(message) > _MAX_LENGTH:
            message = f"{message[:_HEAD_LENGTH]} … {message[-_TAIL_LENGTH:]}"
        super().__init__(message)


class InvalidPayload(InvalidInput):
    """A trigger's payload is not JSON, or larger than `limits.max_payload_bytes`."""

    code = "invalid_payload"


class InvalidReaction(InvalidInput):
    """The request, policy or limits of a reaction or direct job are invalid."""

    code = "invalid_reaction"


class InvalidSecret(InvalidInput):
    """A signing secret is neither `whsec_` with 24 to 64 bytes in base64 nor an ed25519 `whsk_`."""

    code = "invalid_secret"


class InvalidSetting(InvalidInput):
    """A setting is unknown, or its value has the wrong type or is out of range."""

    code = "invalid_setting"


class SignatureProblem(StrEnum):
    """Reason for which a received message is not authentic."""

    MISSING = "missing"
    """One of the three headers is missing or empty."""
    MALFORMED = "malformed"
    """A header is malformed according to Standard Webhooks."""
    UNKNOWN_KIND = "unknown_kind"
    """The given secrets can verify no kind of signature of the message."""
    MISMATCH = "mismatch"
    """The message was signed with another secret, or altered in transit."""
    TOO_OLD = "too_old"
    """The timestamp is further in the past than the tolerance allows."""
    TOO_NEW = "too_new"
    """The timestamp is further in the future than the tolerance allows."""


class InvalidSignature(DeliveryError, ValueError):
    """A received message is unsigned, signed with another secret, altered, too old or too new."""

    code = "invalid_signature"

    def __init__(self, message: str, reason: SignatureProblem = SignatureProblem.MISMATCH) -> None:
        super().__init__(message)
        self.reason = reason


class MissingKey(DeliveryError):
    """A stored value is encrypted with a key that is not in `secrets.keys`."""

    code = "missing_key"
    exit_code = 2


class NotFound(DeliveryError, LookupError):
    """The object does not exist in this tenant."""

    code = "not_found"
    exit_code = 4


class NoTransaction(DeliveryError):
    """The connection or session in `connection=` has no open transaction."""

    code = "no_transaction"
    exit_code = 2


class UnusableConnection(DeliveryError):
    """`connection=` is closed, busy, in a failed transaction, or connected to another database.

    Nothing was written. The driver's error, if any, is the `__cause__`.
    """

    code = "unusable_connection"
    exit_code = 2


class JobTimeout(DeliveryError, TimeoutError):
    """A job was not finished at the end of the timeout of `wait`.

    Attributes:
        trigger_id: Trigger of the wait. None for a wait for a job.
        unfinished: Number of unfinished jobs.
        job_id: First unfinished job. The other attributes describe it.
        status: Status of the job, such as `retrying`.
        attempt: Number of attempts begun.
        max_attempts: Maximum number of attempts.
        failure_kind: Failure kind of the last attempt, such as `timeout`.
        status_code: Status of the last response.
        last_error: Error of the last attempt.
        next_attempt_at: Due time of the next attempt. None during an attempt.
        living_workers: Number of running workers. Without workers, no job finishes.
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
    """The database failed, or the engine cannot use it."""

    code = "database_error"
    exit_code = 3
    transient: ClassVar[bool] = False
    """True if a retry may succeed without a change of settings, rights or schema."""


class DatabaseUnavailable(DatabaseError):
    """A connection cannot be opened: the server is unreachable, or the URL is wrong."""

    code = "database_unavailable"
    transient = True


class LoginRefused(DatabaseUnavailable):
    """The server rejected the password, the role or the database name."""

    code = "login_refused"
    transient = False


class DatabaseRestarting(DatabaseUnavailable):
    """The server is starting, stopping or recovering.

    If the server ended the session during a statement, the statement may have been executed.
    """

    code = "database_restarting"


class TooManyConnections(DatabaseUnavailable):
    """The server or a pooler has no connection left."""

    code = "too_many_connections"


class ConnectionLost(DatabaseError):
    """The connection was closed during a statement, which may have been executed."""

    code = "connection_lost"
    transient = True


class StatementTimeout(DatabaseError):
    """The server did not respond in time to a statement, which may have been executed."""

    code = "statement_timeout"
    transient = True


class PoolExhausted(DatabaseError):
    """No connection of the pool became free in time. Nothing was executed."""

    code = "pool_exhausted"
    transient = True


class ReadOnlyDatabase(DatabaseError):
    """The server is a standby, or sessions are read-only by default. Nothing was written."""

    code = "read_only_database"
    transient = True


class MissingRights(DatabaseError):
    """The role lacks the rights for a statement. Nothing was written."""

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
    """Another transaction prevented a write: deadlock or lock timeout. Nothing was written."""

    code = "database_conflict"
    transient = True


class PreparedStatementsLost(DatabaseError):
    """A pooler before the server does not preserve prepared statements."""

    code = "prepared_statements"


class ValueRefused(DatabaseError):
    """The database rejected a value. Nothing was written."""

    code = "value_refused"
    exit_code = 2


class DuplicateValue(ValueRefused):
    """The new object already exists."""

    code = "duplicate_value"


class EmbeddedDatabaseError(DatabaseError):
    """The embedded PostgreSQL could not be started on its data directory."""

    code = "embedded_database"


class SchemaMismatch(DatabaseError):
    """The schema is missing or altered, older than this engine, or too new for it."""

    code = "schema_mismatch"


class AddressInUse(DeliveryError):
    """Another program listens on the requested address."""

    code = "address_in_use"
    exit_code = 6

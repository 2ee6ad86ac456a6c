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
    ├── JobTimeout                     job_timeout           `wait` ended before the job did
    ├── DatabaseError                  database_error
    │   ├── DatabaseUnavailable        database_unavailable  cannot connect, refused, wrong password
    │   ├── EmbeddedDatabaseError      embedded_database     the embedded PostgreSQL cannot be used
    │   └── SchemaMismatch             schema_mismatch       schema missing, older, newer or altered
    └── AddressInUse                   address_in_use        a port to listen on is taken
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Final

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID

__all__ = [
    "AddressInUse",
    "DatabaseError",
    "DatabaseUnavailable",
    "DeliveryError",
    "EmbeddedDatabaseError",
    "InvalidInput",
    "InvalidPayload",
    "InvalidReaction",
    "InvalidSecret",
    "InvalidSetting",
    "InvalidSignature",
    "JobTimeout",
    "MissingKey",
    "NoTransaction",
    "NotFound",
    "SchemaMismatch",
]


class DeliveryError(Exception):
    """The root of the tree: catch it to catch everything this package raises on purpose."""

    code: ClassVar[str] = "internal_error"
    exit_code: ClassVar[int] = 1

    def details(self) -> dict[str, Any]:
        """Return what the error knows beyond its text, for programs."""
        return {}


class InvalidInput(DeliveryError, ValueError):
    """A value given by the caller cannot be used; nothing was written."""

    code = "invalid_input"
    exit_code = 2


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


class InvalidSignature(DeliveryError, ValueError):
    """A received message is not signed with one of the secrets, too old, or lacks a header."""

    code = "invalid_signature"


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


class JobTimeout(DeliveryError, TimeoutError):
    """A job was not finished when the time given to `wait` was over.

    Attributes:
        trigger_id: The trigger that was waited for, if it was one.
        unfinished: How many jobs were not finished.
        job_id: The first of them; what follows is about it.
        status: Where it stands, such as `retrying`.
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
        return {name: getattr(self, name) for name in _JOB_TIMEOUT_DETAILS}


_JOB_TIMEOUT_DETAILS: Final = (
    "trigger_id",
    "unfinished",
    "job_id",
    "status",
    "attempt",
    "max_attempts",
    "failure_kind",
    "status_code",
    "last_error",
    "next_attempt_at",
    "living_workers",
)


class DatabaseError(DeliveryError):
    """Something about the database keeps the engine from working."""

    code = "database_error"
    exit_code = 3


class DatabaseUnavailable(DatabaseError):
    """No connection could be made: unreachable, refused, or the credentials are wrong."""

    code = "database_unavailable"


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

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

from enum import StrEnum
from typing import ClassVar

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
    "SignatureProblem",
]


class DeliveryError(Exception):
    """The root of the tree: catch it to catch everything this package raises on purpose."""

    code: ClassVar[str] = "internal_error"
    exit_code: ClassVar[int] = 1


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


class JobTimeout(DeliveryError, TimeoutError):
    """The job was not terminal when the time given to `wait` was over; it goes on by itself."""

    code = "job_timeout"
    exit_code = 5


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

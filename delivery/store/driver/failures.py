"""Classification of database errors: transient, permanent, or environmental."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import asyncpg

from delivery.errors import DatabaseError
from delivery.store.driver.errors import describe
from delivery.store.driver.sqlstates import (
    CHECK_VIOLATION,
    FAILED_TRANSACTION,
    UNIQUE_VIOLATION,
    original,
    postgres_error,
)

__all__ = [
    "CONNECTION_ERRORS",
    "Cause",
    "Refusal",
    "cause_of",
    "classify",
    "is_passing",
    "text_of",
]

CONNECTION_ERRORS: Final = (
    OSError,
    TimeoutError,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    DatabaseError,
)
"""Errors after which a statement failed or may have failed; a retry may succeed."""


class Refusal(StrEnum):
    """Reason why the database did not execute a statement."""

    VALUE = "value"
    """The values cannot be stored; a retry never succeeds."""
    MOMENT = "moment"
    """Connection, contention or resources; a later retry succeeds."""
    PLACE = "place"
    """A partition, a right, or a part of the schema is missing and must be restored."""
    CONFLICT = "conflict"
    """The row has changed meanwhile, so the requested change is no longer legal."""
    ALREADY_THERE = "already_there"
    """A row with this key exists, usually from the same write whose response was lost."""


@dataclass(frozen=True, slots=True)
class Cause:
    """Cause of refusals. Equal causes are reported once and resolved together."""

    refusal: Refusal
    sqlstate: str | None
    """None: the error did not come from the server."""
    table: str | None
    """Table named by the server."""
    of_one: bool
    """True if single values can cause it; False if any values would be refused."""

    @property
    def is_missing_partition(self) -> bool:
        """True if the partition of a row is missing."""
        return self.refusal is Refusal.PLACE and self.sqlstate == CHECK_VIOLATION


_MOMENTS: Final = ("08", "40", "53", "55", "57", "58", "72", "25P03", "25P04")
"""Connections, rolled back by contention, resources, objects in use, operators, the system,
snapshots, sessions that were ended: SQLSTATEs by prefix."""

_VALUES: Final = ("22", "23", "21", "44", "54")
"""Data, constraints, cardinality, views with a check option, limits of a row or value."""

_OF_ONE_MOMENT: Final = ("40", "55", "57014")
"""Deadlocks, serialization, locks and cancelled statements: one locked row can be the reason."""

_WHOLE_PLACES: Final = ("25", "26", "28", "0A", "3D", "3F", "42")
"""Read-only, prepared statements lost by a pooler, credentials, features, databases, schemas, and
tables, columns, types or rights that are missing."""


def classify(error: BaseException) -> Refusal:
    """Return the reason why a statement was refused.

    An unknown error counts as `PLACE`: the work waits, the error is reported, nothing is discarded.
    """
    return cause_of(error).refusal


def is_passing(error: BaseException) -> bool:
    """Return True if the error is transient, so that the same statement may succeed later.

    This includes a read-only session or server, because another one replaces it. It excludes a
    transaction that has failed before, because the original error can recur.
    """
    cause = cause_of(error)
    if cause.sqlstate == FAILED_TRANSACTION:
        return False
    return cause.refusal is Refusal.MOMENT or (cause.sqlstate or "").startswith("25")


def text_of(error: BaseException) -> str:
    """Return the message of an error, from the server if it sent one; see `describe`."""
    return describe(postgres_error(error) or error)


def cause_of(error: BaseException) -> Cause:
    """Return the cause of a refusal."""
    found = postgres_error(error)
    sqlstate = None if found is None else found.sqlstate
    if found is None or sqlstate is None:
        return _without_sqlstate(original(error))
    refusal = _by_sqlstate(sqlstate, found)
    if refusal is Refusal.MOMENT:
        of_one = sqlstate.startswith(_OF_ONE_MOMENT)
    else:
        of_one = refusal is not Refusal.PLACE or not sqlstate.startswith(_WHOLE_PLACES)
    return Cause(refusal, sqlstate, found.table_name, of_one)


def _without_sqlstate(error: BaseException) -> Cause:
    if isinstance(error, (UnicodeError, OverflowError)) or (
        isinstance(error, asyncpg.InterfaceError) and isinstance(error, ValueError)
    ):
        # The driver could not encode a value, so nothing was sent.
        return Cause(Refusal.VALUE, None, None, of_one=True)
    if isinstance(error, CONNECTION_ERRORS):
        return Cause(Refusal.MOMENT, None, None, of_one=False)
    return Cause(Refusal.PLACE, None, type(error).__name__, of_one=True)


def _by_sqlstate(sqlstate: str, error: asyncpg.PostgresError) -> Refusal:
    if sqlstate == UNIQUE_VIOLATION:
        return Refusal.ALREADY_THERE
    if sqlstate == CHECK_VIOLATION:
        return _by_check(error)
    if sqlstate.startswith(_VALUES):
        return Refusal.VALUE
    # A read-only transaction is a place; a terminated idle or long transaction is a moment.
    return Refusal.MOMENT if sqlstate.startswith(_MOMENTS) else Refusal.PLACE


def _by_check(error: asyncpg.PostgresError) -> Refusal:
    """Return the refusal of a check: the objects in the error distinguish three of them."""
    if error.constraint_name:
        return Refusal.VALUE
    # A row without a partition names the table; the trigger on job states names nothing.
    return Refusal.PLACE if error.table_name else Refusal.CONFLICT

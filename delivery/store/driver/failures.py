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
"""The statement did not succeed, or it is not known whether it did; the same again may succeed."""


class Refusal(StrEnum):
    """Why the database did not execute a statement."""

    VALUE = "value"
    """These values cannot be stored: the same again never succeeds."""
    MOMENT = "moment"
    """Connection, contention or resources: the same again succeeds later."""
    PLACE = "place"
    """A partition, a right, or a part of the schema is missing: somebody must restore it."""
    CONFLICT = "conflict"
    """The row has changed meanwhile, so the change that was asked for is not legal any more."""
    ALREADY_THERE = "already_there"
    """A row with this key exists: most often the same write, of which the response was lost."""


@dataclass(frozen=True, slots=True)
class Cause:
    """One cause of refusals. Equal causes are reported once and removed together."""

    refusal: Refusal
    sqlstate: str | None
    """None: the error did not come from the server."""
    table: str | None
    """The table that the server named."""
    of_one: bool
    """Whether single values may cause it. Otherwise the whole statement is refused, whatever its
    values are."""

    @property
    def is_missing_partition(self) -> bool:
        """Whether a row's day has no partition."""
        return self.refusal is Refusal.PLACE and self.sqlstate == CHECK_VIOLATION


_MOMENTS: Final = ("08", "40", "53", "55", "57", "58", "72", "25P03", "25P04")
"""Connections, rolled back by contention, resources, objects in use, operators, the system,
snapshots, sessions that were ended: SQLSTATEs by prefix."""

_VALUES: Final = ("22", "23", "21", "44", "54")
"""Data, constraints, cardinality, views with a check option, limits of a row or value."""

_OF_ONE_MOMENT: Final = ("40", "55", "57014")
"""Deadlocks, serialization, locks and cancelled statements: one row in use may be the reason."""

_WHOLE_PLACES: Final = ("25", "26", "28", "0A", "3D", "3F", "42")
"""Read-only, prepared statements behind a pooler, credentials, features, databases, schemas, and
tables, columns, types or rights that are missing."""


def classify(error: BaseException) -> Refusal:
    """Return why a statement was refused.

    What nobody foresaw counts as `PLACE`: it waits, is reported, and nothing is thrown away.
    """
    return cause_of(error).refusal


def is_passing(error: BaseException) -> bool:
    """Return whether the error is about this moment, so that the same statement may succeed later.

    A session or server that is read-only is replaced by another one, so that counts too. A
    transaction that has failed before does not: what made it fail may come back.
    """
    cause = cause_of(error)
    if cause.sqlstate == FAILED_TRANSACTION:
        return False
    return cause.refusal is Refusal.MOMENT or (cause.sqlstate or "").startswith("25")


def text_of(error: BaseException) -> str:
    """Return the message of an error, in the server's words if it sent one; see `describe`."""
    return describe(postgres_error(error) or error)


def cause_of(error: BaseException) -> Cause:
    """Return the cause of a refusal, as far as the error tells."""
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
    # A read-only transaction is a place; an idle or long one that was ended is a moment.
    return Refusal.MOMENT if sqlstate.startswith(_MOMENTS) else Refusal.PLACE


def _by_check(error: asyncpg.PostgresError) -> Refusal:
    """Distinguish three errors with one SQLSTATE by the objects that they name."""
    if error.constraint_name:
        return Refusal.VALUE
    # A row without a partition names the table; the trigger on job states names nothing.
    return Refusal.PLACE if error.table_name else Refusal.CONFLICT

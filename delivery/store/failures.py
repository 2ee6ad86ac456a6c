"""Which errors of the database say "later", and which say "never"."""

from __future__ import annotations

from typing import Final

import asyncpg

from delivery.errors import DatabaseError, DatabaseUnavailable

__all__ = ["ALREADY_THERE", "CONNECTION_ERRORS", "REFUSED_DATA", "is_passing"]

CONNECTION_ERRORS: Final = (
    OSError,
    TimeoutError,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    DatabaseUnavailable,
)
"""The statement did not succeed, or it is not known whether it did; the same again may succeed."""

REFUSED_DATA: Final = (
    asyncpg.DataError,
    asyncpg.IntegrityConstraintViolationError,
    asyncpg.ProgramLimitExceededError,
)
"""The values themselves are refused: the same again never succeeds. Caught before the wider
ones."""

ALREADY_THERE: Final = asyncpg.UniqueViolationError
"""What was to be written for the first time is there."""

_PASSING_CLASSES: Final = ("08", "25", "40", "53", "55", "57", "58")
"""Of SQLSTATE: connections, states of the transaction, conflicts, resources, locks, interventions,
and the system."""


def is_passing(error: BaseException | None) -> bool:
    """Whether the same statement may succeed later: the error is about this moment.

    False for what is wrong with the values, with the place where they are to be stored, or with our
    own code. The error of the driver may also be the cause of another one.
    """
    while error is not None:
        state = getattr(error, "sqlstate", None)
        if isinstance(error, asyncpg.PostgresError) and isinstance(state, str):
            return state.startswith(_PASSING_CLASSES)
        if isinstance(error, (OSError, asyncpg.InternalClientError, DatabaseUnavailable)):
            return True
        if isinstance(error, DatabaseError) and error.__cause__ is None:
            return True
        if isinstance(error, asyncpg.InterfaceError) and not isinstance(error, ValueError):
            # asyncpg raises it for values as well, and then it is a ValueError too.
            return True
        error = error.__cause__
    return False

"""SQLSTATEs with separate treatment, and the driver's error that caused an error."""

from __future__ import annotations

from typing import Final

import asyncpg

from delivery.errors import DatabaseError

__all__ = [
    "CHECK_VIOLATION",
    "DEADLOCK_DETECTED",
    "FAILED_TRANSACTION",
    "INSUFFICIENT_PRIVILEGE",
    "UNDEFINED_OBJECT",
    "UNIQUE_VIOLATION",
    "original",
    "postgres_error",
]

CHECK_VIOLATION: Final = "23514"
DEADLOCK_DETECTED: Final = "40P01"
FAILED_TRANSACTION: Final = "25P02"
INSUFFICIENT_PRIVILEGE: Final = "42501"
UNDEFINED_OBJECT: Final = "42704"
UNIQUE_VIOLATION: Final = "23505"


def original(error: BaseException) -> BaseException:
    """Return the error that caused an error of this package; `error` itself if there is none."""
    while isinstance(error, DatabaseError) and error.__cause__ is not None:
        error = error.__cause__
    return error


def postgres_error(error: BaseException) -> asyncpg.PostgresError | None:
    """Return the server's error that caused `error`; None if the server sent none."""
    found = original(error)
    return found if isinstance(found, asyncpg.PostgresError) else None

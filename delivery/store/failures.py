"""Which errors of the database say "later", and which say "never"."""

from __future__ import annotations

from typing import Final

import asyncpg

from delivery.errors import DatabaseError, DuplicateValue, ValueRefused

__all__ = ["ALREADY_THERE", "CONNECTION_ERRORS", "REFUSED_DATA"]

CONNECTION_ERRORS: Final = (
    OSError,
    TimeoutError,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    DatabaseError,
)
"""The statement did not succeed, or it is not known whether it did; the same again may succeed."""

REFUSED_DATA: Final = (
    asyncpg.DataError,
    asyncpg.IntegrityConstraintViolationError,
    asyncpg.ProgramLimitExceededError,
    ValueRefused,
)
"""The values themselves are refused: the same again never succeeds. Caught before the wider
ones."""

ALREADY_THERE: Final = (asyncpg.UniqueViolationError, DuplicateValue)
"""What was to be written for the first time is there."""

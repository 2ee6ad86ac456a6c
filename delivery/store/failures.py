"""Which errors of the database say "later", and which say "never"."""

from __future__ import annotations

from typing import Final

import asyncpg

from delivery.errors import DatabaseUnavailable

__all__ = ["ALREADY_THERE", "CONNECTION_ERRORS", "REFUSED_DATA"]

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

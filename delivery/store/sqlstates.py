"""The SQLSTATE of a driver's error, also of one that is the cause of an error of this package."""

from __future__ import annotations

from typing import Final

import asyncpg

__all__ = ["CHECK_VIOLATION", "INSUFFICIENT_PRIVILEGE", "UNDEFINED_OBJECT", "postgres_error"]

CHECK_VIOLATION: Final = "23514"
INSUFFICIENT_PRIVILEGE: Final = "42501"
UNDEFINED_OBJECT: Final = "42704"


def postgres_error(error: BaseException | None) -> asyncpg.PostgresError | None:
    """Return the server's error behind `error`; None if the server sent none."""
    while error is not None:
        if isinstance(error, asyncpg.PostgresError):
            return error
        error = error.__cause__
    return None

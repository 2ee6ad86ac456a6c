"""Passing errors are distinguished from those that come back."""

from __future__ import annotations

import asyncpg
import pytest

from delivery.errors import DatabaseError, DatabaseUnavailable
from delivery.store.driver.failures import is_passing

PASSING = [
    OSError("gone"),
    TimeoutError(),
    DatabaseUnavailable("gone"),
    DatabaseError("for a reason that is not known"),
    asyncpg.InterfaceError("the connection is closed"),
    asyncpg.ConnectionDoesNotExistError("gone"),
    asyncpg.DeadlockDetectedError("deadlock"),
    asyncpg.SerializationError("conflict"),
    asyncpg.AdminShutdownError("shutdown"),
    asyncpg.DiskFullError("full"),
    asyncpg.ReadOnlySQLTransactionError("read-only"),
]
LASTING = [
    ValueError("a mistake"),
    asyncpg.InFailedSQLTransactionError("a statement before has failed"),
    asyncpg.NumericValueOutOfRangeError("out of range"),
    asyncpg.DataCorruptedError("damaged"),
    asyncpg.CheckViolationError("no partition"),
    asyncpg.InsufficientPrivilegeError("no"),
    asyncpg.UndefinedTableError("no"),
    asyncpg.exceptions._base.DataError("invalid input for query argument"),
]


@pytest.mark.parametrize("error", PASSING, ids=repr)
def test_an_error_that_passes(error: Exception) -> None:
    assert is_passing(error)
    assert is_passing(_caused_by(error))


@pytest.mark.parametrize("error", LASTING, ids=repr)
def test_an_error_that_comes_back(error: Exception) -> None:
    assert not is_passing(error)
    assert not is_passing(_caused_by(error))


def _caused_by(cause: Exception) -> DatabaseError:
    error = DatabaseError("translated")
    error.__cause__ = cause
    return error

"""Transient errors are distinguished from permanent ones."""

from __future__ import annotations

import asyncpg
import pytest

from delivery.errors import DatabaseError, DatabaseUnavailable
from delivery.store.driver.failures import is_passing

TRANSIENT = [
    OSError("gone"),
    TimeoutError(),
    DatabaseUnavailable("gone"),
    DatabaseError("unknown reason"),
    asyncpg.InterfaceError("the connection is closed"),
    asyncpg.ConnectionDoesNotExistError("gone"),
    asyncpg.DeadlockDetectedError("deadlock"),
    asyncpg.SerializationError("conflict"),
    asyncpg.AdminShutdownError("shutdown"),
    asyncpg.DiskFullError("full"),
    asyncpg.ReadOnlySQLTransactionError("read-only"),
]
PERMANENT = [
    ValueError("a bug"),
    asyncpg.InFailedSQLTransactionError("an earlier statement failed"),
    asyncpg.NumericValueOutOfRangeError("out of range"),
    asyncpg.DataCorruptedError("damaged"),
    asyncpg.CheckViolationError("no partition"),
    asyncpg.InsufficientPrivilegeError("no"),
    asyncpg.UndefinedTableError("no"),
    asyncpg.exceptions._base.DataError("invalid input for query argument"),
]


@pytest.mark.parametrize("error", TRANSIENT, ids=repr)
def test_transient_errors(error: Exception) -> None:
    assert is_passing(error)
    assert is_passing(_caused_by(error))


@pytest.mark.parametrize("error", PERMANENT, ids=repr)
def test_permanent_errors(error: Exception) -> None:
    assert not is_passing(error)
    assert not is_passing(_caused_by(error))


def _caused_by(cause: Exception) -> DatabaseError:
    error = DatabaseError("translated")
    error.__cause__ = cause
    return error

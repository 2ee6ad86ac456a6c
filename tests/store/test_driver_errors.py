"""Every error of the driver becomes an error of this package, with a class, a code and one line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import asyncpg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from delivery import errors
from delivery.errors import DatabaseError
from delivery.store.driver.errors import Harm, translate

PAGE = Path(__file__).parents[2] / "docs" / "errors.md"


def of_server(sqlstate: str, message: str = "something", severity: str = "ERROR") -> Any:
    """Build an error as the driver does from the server's message."""
    fields = {"C": sqlstate, "M": message, "S": severity, "V": severity, "D": "secret=hunter2"}
    return asyncpg.PostgresError.new(fields)


@pytest.mark.parametrize(
    ("sqlstate", "kind", "harm"),
    [
        ("25006", errors.ReadOnlyDatabase, Harm.SERVER),
        ("57P01", errors.DatabaseRestarting, Harm.SERVER),
        ("57P02", errors.DatabaseRestarting, Harm.SERVER),
        ("57P03", errors.DatabaseRestarting, Harm.SERVER),
        ("08006", errors.ConnectionLost, Harm.SESSION),
        ("08P01", errors.ConnectionLost, Harm.SESSION),
        ("26000", errors.PreparedStatementsLost, Harm.SESSION),
        ("42P05", errors.PreparedStatementsLost, Harm.SESSION),
        ("53100", errors.DiskFull, Harm.NONE),
        ("53200", errors.DatabaseOverloaded, Harm.SESSION),
        ("53300", errors.TooManyConnections, Harm.SESSION),
        ("42501", errors.MissingRights, Harm.NONE),
        ("42P01", errors.SchemaMismatch, Harm.SESSION),
        ("42703", errors.SchemaMismatch, Harm.SESSION),
        ("42883", errors.SchemaMismatch, Harm.SESSION),
        ("3F000", errors.SchemaMismatch, Harm.NONE),
        ("22P05", errors.WrongEncoding, Harm.NONE),
        ("57014", errors.StatementTimeout, Harm.NONE),
        ("55P03", errors.DatabaseConflict, Harm.NONE),
        ("40P01", errors.DatabaseConflict, Harm.NONE),
        ("40001", errors.DatabaseConflict, Harm.SERVER),
        ("22003", errors.ValueRefused, Harm.NONE),
        ("23514", errors.ValueRefused, Harm.NONE),
        ("23505", errors.DuplicateValue, Harm.NONE),
        ("58030", DatabaseError, Harm.SESSION),
        ("XX001", DatabaseError, Harm.SESSION),
        ("0A000", DatabaseError, Harm.SESSION),
    ],
)
def test_the_sqlstate_determines_class_and_harm(
    sqlstate: str, kind: type[DatabaseError], harm: Harm
) -> None:
    found = translate(of_server(sqlstate))
    assert found is not None
    assert (type(found.error), found.harm) == (kind, harm)


def test_the_server_s_reason_for_closing_determines_the_class() -> None:
    lost = asyncpg.ConnectionDoesNotExistError("connection was closed")
    lost.__cause__ = of_server("57P01", severity="FATAL")
    found = translate(lost)
    assert found is not None
    assert isinstance(found.error, errors.DatabaseRestarting)


def test_a_value_that_the_driver_cannot_encode_is_not_in_the_message() -> None:
    found = translate(asyncpg.DataError("invalid input for query argument $3: 'hunter2' (str)"))
    assert found is not None
    assert "argument $3" in str(found.error)
    assert "hunter2" not in str(found.error)


@given(
    st.text("0123456789ABCDEFPX", min_size=5, max_size=5),
    st.text(),
    st.sampled_from(["ERROR", "FATAL", "PANIC"]),
)
def test_every_error_is_one_line_without_stored_values(
    sqlstate: str, message: str, severity: str
) -> None:
    found = translate(of_server(sqlstate, message, severity))
    assert found is not None
    assert len(str(found.error).splitlines()) == 1
    assert "hunter2" not in str(found.error)
    if severity != "ERROR":
        assert found.harm is not Harm.NONE


@pytest.mark.parametrize(
    "error",
    [
        asyncpg.InterfaceError("connection is closed"),
        ConnectionResetError("reset"),
        TimeoutError(),
        asyncpg.InternalClientError("odd"),
    ],
)
def test_errors_of_the_client_end_the_session(error: Exception) -> None:
    found = translate(error)
    assert found is not None
    assert found.harm is Harm.SESSION


def test_other_errors_are_not_translated() -> None:
    assert translate(ValueError("no")) is None


def test_every_code_is_documented() -> None:
    def family(kind: type[DatabaseError]) -> set[str]:
        return {kind.code}.union(*(family(child) for child in kind.__subclasses__()))

    page = PAGE.read_text()
    left_out = {DatabaseError.code, "embedded_database", "duplicate_value"}
    assert {code for code in family(DatabaseError) if f"`{code}`" not in page} <= left_out

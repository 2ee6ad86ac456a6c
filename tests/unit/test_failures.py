"""Database errors are classified by the objects that they name, never by their text."""

from __future__ import annotations

import asyncpg
import pytest

from delivery.errors import DatabaseError, DatabaseUnavailable
from delivery.store.driver.failures import Refusal, cause_of, classify, text_of


def server_error(sqlstate: str, **fields: str) -> asyncpg.PostgresError:
    """Create an error from the fields of a server message, as the driver does."""
    error = asyncpg.PostgresError.new({"C": sqlstate, "M": "text in any language", **fields})
    assert isinstance(error, asyncpg.PostgresError)
    return error


@pytest.mark.parametrize(
    ("sqlstate", "expected"),
    [
        ("22001", Refusal.VALUE),
        ("22003", Refusal.VALUE),
        ("22021", Refusal.VALUE),
        ("22P05", Refusal.VALUE),
        ("23502", Refusal.VALUE),
        ("54000", Refusal.VALUE),
        ("08006", Refusal.MOMENT),
        ("25P02", Refusal.PLACE),
        ("25P03", Refusal.MOMENT),
        ("40001", Refusal.MOMENT),
        ("40P01", Refusal.MOMENT),
        ("53100", Refusal.MOMENT),
        ("53300", Refusal.MOMENT),
        ("55P03", Refusal.MOMENT),
        ("57014", Refusal.MOMENT),
        ("57P01", Refusal.MOMENT),
        ("57P03", Refusal.MOMENT),
        ("58030", Refusal.MOMENT),
        ("23505", Refusal.ALREADY_THERE),
        ("25006", Refusal.PLACE),
        ("26000", Refusal.PLACE),
        ("28P01", Refusal.PLACE),
        ("3F000", Refusal.PLACE),
        ("42501", Refusal.PLACE),
        ("42703", Refusal.PLACE),
        ("42704", Refusal.PLACE),
        ("42P01", Refusal.PLACE),
        ("P0001", Refusal.PLACE),
        ("XX000", Refusal.PLACE),
    ],
)
def test_each_sqlstate_has_its_refusal(sqlstate: str, expected: Refusal) -> None:
    assert classify(server_error(sqlstate)) is expected


def test_check_violations_are_classified_by_the_objects_they_name() -> None:
    missing = server_error("23514", s="delivery", t="delivery_logs")
    assert classify(missing) is Refusal.PLACE
    assert cause_of(missing).is_missing_partition
    constraint = server_error("23514", t="delivery_logs", n="delivery_logs_outcome_check")
    assert classify(constraint) is Refusal.VALUE
    assert classify(server_error("23514")) is Refusal.CONFLICT


@pytest.mark.parametrize(
    ("error", "expected", "of_one"),
    [
        (ConnectionRefusedError(), Refusal.MOMENT, False),
        (TimeoutError(), Refusal.MOMENT, False),
        (asyncpg.InterfaceError("connection is closed"), Refusal.MOMENT, False),
        (
            asyncpg.InternalClientError("got result for unknown protocol state"),
            Refusal.MOMENT,
            False,
        ),
        (DatabaseUnavailable("cannot connect"), Refusal.MOMENT, False),
        (UnicodeEncodeError("utf-8", "\ud800", 0, 1, "surrogates"), Refusal.VALUE, True),
        (OverflowError("value out of int32 range"), Refusal.VALUE, True),
        (AttributeError("a bug"), Refusal.PLACE, True),
    ],
)
def test_errors_without_a_sqlstate_have_a_refusal(
    error: Exception, expected: Refusal, *, of_one: bool
) -> None:
    cause = cause_of(error)
    assert (cause.refusal, cause.of_one) == (expected, of_one)


def test_an_error_of_the_engine_is_classified_by_its_cause() -> None:
    ours = DatabaseUnavailable("the password is wrong")
    ours.__cause__ = server_error("28P01")
    assert classify(ours) is Refusal.PLACE


@pytest.mark.parametrize(
    ("sqlstate", "of_one"),
    [("42501", False), ("57P01", False), ("40P01", True), ("P0001", True), ("22021", True)],
)
def test_errors_that_a_single_row_can_cause_are_recognized(sqlstate: str, *, of_one: bool) -> None:
    assert cause_of(server_error(sqlstate)).of_one is of_one


def test_the_text_of_an_error_does_not_quote_the_row() -> None:
    error = server_error("23514", D="Failing row contains (secret).", t="triggers", n="no_own")
    assert text_of(error) == "text in any language"
    assert text_of(ConnectionRefusedError()) == "ConnectionRefusedError"


def test_the_text_about_a_value_that_the_driver_cannot_encode_does_not_quote_it() -> None:
    driver = asyncpg.DataError("invalid input for query argument $2: 'hunter2' (expected int)")
    ours = DatabaseError("the database refused a value: argument $2 has the wrong type or range")
    ours.__cause__ = driver
    for error in (driver, ours):
        assert text_of(error) == "argument $2 has the wrong type or range"

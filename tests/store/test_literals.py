"""Parameters written as literals have the same meaning as bound parameters."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from delivery.store.driver.literals import inlined, literal

pytestmark = pytest.mark.anyio

VALUES: list[tuple[str, Any]] = [
    ("text", "O'Brien \\ \\' \"x\" $1 -- /* \n\t\r é \U0001f600 ';"),
    ("text", ""),
    ("text", None),
    ("bytea", bytes(range(256))),
    ("bytea", b""),
    ("uuid", UUID(int=7)),
    ("bigint", -(2**63)),
    ("integer", 0),
    ("boolean", True),
    ("timestamptz", datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)),
    ("text[]", ["a", None, "{b,\"c\\'}", ""]),
    ("text[]", []),
    ("bytea[]", [b"\0\\", b"'"]),
    ("uuid[]", [UUID(int=7)]),
    ("smallint[]", [-1, 5]),
    ("timestamptz[]", [datetime(1970, 1, 1, tzinfo=UTC), None]),
]


@pytest.mark.parametrize("strings", ["on", "off"])
async def test_a_literal_has_the_value_of_the_parameter(database_url: str, strings: str) -> None:
    connection = await asyncpg.connect(database_url)
    try:
        await connection.execute(f"SET standard_conforming_strings = {strings}")
        for kind, value in VALUES:
            text = f"SELECT $1::{kind} AS value"
            assert await connection.fetchval(inlined(text, [value])) == value, kind
            assert await connection.fetchval(text, value) == value
    finally:
        await connection.close()


def test_placeholders_in_comments_get_no_values() -> None:
    text = "-- The first ($1)\nSELECT $1 -- not $1\n-- $2\n, $2"
    assert inlined(text, ["a\nb", 2]) == "\nSELECT E'a\nb' \n\n, (2)"


def test_a_placeholder_in_a_value_is_not_replaced() -> None:
    assert inlined("SELECT $1, $2", ["$2", "x"]) == "SELECT E'$2', E'x'"


@given(st.text())
def test_a_text_never_ends_its_literal(text: str) -> None:
    """Each quote and each backslash between the quotes is doubled."""
    inside = literal(text)[2:-1]
    assert inside.replace("\\\\", "").replace("''", "").count("'") == 0
    assert inside.replace("\\\\", "").count("\\") == 0


def test_a_value_without_a_literal_is_refused() -> None:
    with pytest.raises(TypeError, match="no literal for dict"):
        literal({})

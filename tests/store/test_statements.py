"""Each file of SQL has one statement, and a legend of its parameters that is correct."""

from __future__ import annotations

import re
from importlib.resources import files
from typing import TYPE_CHECKING

import asyncpg
import pytest

from delivery.store.arrivals import NewJob, NewTrigger
from delivery.store.queue import ClaimedJob
from delivery.store.settlements import Settled, Settlement
from delivery.store.statements import statement

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from delivery.store.driver.connection import Connection

pytestmark = pytest.mark.anyio

NAMES = [entry.name.removesuffix(".sql") for entry in (files("delivery.store") / "sql").iterdir()]
NOT_PREPARED = {
    "begin",
    "commit",
    "migrations_create_schema",
    "migrations_create_table",
    "release_savepoint",
    "rollback",
    "rollback_to_savepoint",
    "savepoint",
}
"""Commands without parameters that PostgreSQL does not prepare, or that need no description."""
PARAMETER = re.compile(r"^-- \$(\d+) ([a-z][a-z_]*) ([a-z][a-z0-9_.]*(?:\[\])?): \S", re.MULTILINE)


def head(name: str) -> str:
    """Return the comment lines at the top of a statement."""
    lines = statement(name).splitlines()
    end = next(number for number, line in enumerate(lines) if not line.startswith("--"))
    return "\n".join(lines[:end])


def legend(name: str) -> list[tuple[str, str]]:
    """Return name and type of each parameter that the head of a statement describes."""
    found = PARAMETER.findall(head(name))
    assert [int(number) for number, _, _ in found] == list(range(1, len(found) + 1))
    return [(parameter, kind) for _, parameter, kind in found]


@pytest.fixture
async def connection(database_url: str) -> AsyncIterator[Connection]:
    connected = await asyncpg.connect(database_url)
    try:
        yield connected
    finally:
        await connected.close()


@pytest.mark.parametrize("name", NAMES)
def test_every_file_has_one_statement(name: str) -> None:
    """PostgreSQL cannot prepare several statements."""
    text = statement(name)
    assert text
    code = "\n".join(line.partition("--")[0] for line in text.splitlines())
    assert not code.rstrip().endswith(";")
    assert ";" not in code


@pytest.mark.parametrize("name", NAMES)
def test_every_file_begins_with_a_description(name: str) -> None:
    assert re.match(r"-- [A-Z].*[.:;a-z]", head(name))
    assert not re.match(r"-- \$", head(name))


async def test_legends_have_the_number_and_types_of_the_real_parameters(
    connection: Connection,
) -> None:
    wrong = {}
    for name in sorted(set(NAMES) - NOT_PREPARED):
        prepared = await connection.prepare(statement(name))
        real = [parameter.oid for parameter in prepared.get_parameters()]
        described = [
            await connection.fetchval("SELECT $1::text::regtype::oid", kind)
            for _, kind in legend(name)
        ]
        if described != real:
            wrong[name] = [
                await connection.fetchval("SELECT format_type($1, NULL)", oid) for oid in real
            ]
    assert not wrong, "the legends must list these types"


@pytest.mark.parametrize("name", sorted(NOT_PREPARED))
def test_commands_have_no_parameters(name: str) -> None:
    assert not legend(name)
    assert "$" not in statement(name)


async def test_a_claimed_job_names_the_columns_of_the_claim(connection: Connection) -> None:
    prepared = await connection.prepare(statement("claim"))
    columns = [column.name for column in prepared.get_attributes()]
    names = [name for name in vars(ClaimedJob) if name in ClaimedJob.__annotations__]
    assert names == columns


async def test_a_batch_of_results_names_the_columns_of_settling(connection: Connection) -> None:
    prepared = await connection.prepare(statement("settle"))
    assert tuple(column.name for column in prepared.get_attributes()) == Settled._fields


async def test_a_settlement_names_the_fields_of_its_type(connection: Connection) -> None:
    fields = await connection.fetch(
        "SELECT attname FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid"
        " WHERE relname = 'settlement_v1' ORDER BY attnum"
    )
    assert tuple(row["attname"] for row in fields) == Settlement._fields


def test_new_triggers_and_jobs_are_in_the_order_of_the_parameters() -> None:
    parameters = [name for name, _ in legend("fan_out")]
    assert len(parameters) == 2 + len(NewTrigger._fields) + len(NewJob._fields)
    for place, field in enumerate((*NewTrigger._fields, *NewJob._fields), start=2):
        singular = {"id": "_ids", "trigger_id": "job_triggers", "run_at": "run_times"}
        stem = singular.get(field, field.removesuffix("y"))
        assert stem in parameters[place], (field, parameters[place])


def test_an_unknown_name_suggests_the_nearest() -> None:
    with pytest.raises(LookupError, match="did you mean 'migrations_lock'"):
        statement("migration_lock")

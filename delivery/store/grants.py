"""Rights for roles that do not own the schema."""

from __future__ import annotations

from typing import TYPE_CHECKING

from delivery.errors import DatabaseError
from delivery.store.driver.failures import CONNECTION_ERRORS, text_of
from delivery.store.driver.sqlstates import INSUFFICIENT_PRIVILEGE, UNDEFINED_OBJECT, postgres_error
from delivery.store.statements import statement

if TYPE_CHECKING:
    from delivery.store.driver.connection import Connection

__all__ = ["grant_reader", "grant_worker", "renew_grants"]


async def grant_worker(connection: Connection, role: str) -> None:
    """Grant `role` the rights to produce, to deliver, and to create partitions.

    Raises:
        DatabaseError: There is no such role, or the connection's own role does not own the schema.
    """
    await _grant(connection, "grant_worker", role)


async def grant_reader(connection: Connection, role: str) -> None:
    """Grant `role` the right to read everything.

    Raises:
        DatabaseError: As for `grant_worker`.
    """
    await _grant(connection, "grant_reader", role)


async def renew_grants(connection: Connection) -> None:
    """Grant the rights to new objects of migrations to the roles that have rights."""
    await connection.execute(statement("renew_grants"))


async def _grant(connection: Connection, name: str, role: str) -> None:
    try:
        await connection.execute(statement(name), role)
    except CONNECTION_ERRORS as error:
        refused = postgres_error(error)
        advice = ""
        if refused is not None and refused.sqlstate == UNDEFINED_OBJECT:
            advice = "; create the role first"
        elif refused is not None and refused.sqlstate == INSUFFICIENT_PRIVILEGE:
            advice = "; run `delivery migrate --grant` as the owner of the schema"
        message = f"rights could not be granted to {role!r}: {text_of(error)}{advice}"
        raise DatabaseError(message) from error

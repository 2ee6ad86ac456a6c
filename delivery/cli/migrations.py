"""`delivery migrate`: bring the database schema up to date."""

# Without `from __future__ import annotations`: cyclopts reads the annotations.

from typing import Annotated

from cyclopts import Parameter

from delivery.cli.options import COMMON, Common, load

__all__ = ["migrate"]


async def migrate(
    *,
    check: Annotated[
        bool, Parameter(help="Change nothing; exit code 3 if migrations are missing.")
    ] = False,
    common: Common = COMMON,
) -> None:
    """Bring the database schema up to date. Several may run at once."""
    from delivery.service.database import check_database_schema, migrate_database, name_database

    settings = load(common)
    state = await (check_database_schema(settings) if check else migrate_database(settings))
    if common.json:
        common.output.json(
            {
                "database": name_database(settings),
                "applied": state.applied,
                "version": state.version,
            }
        )
        return
    for label in state.applied:
        common.output.line(f"applied {label}")
    common.output.line(f"the schema is at version {state.version}")

"""`delivery migrate`: bring the database's schema up to date."""

# Without `from __future__ import annotations`: cyclopts reads the annotations.

from contextlib import AsyncExitStack
from typing import Annotated

from cyclopts import Parameter

from delivery.cli.options import COMMON, Common, load, name_database
from delivery.store.connection import connect
from delivery.store.embedded import start_embedded
from delivery.store.migrate import applied, check_schema
from delivery.store.migrate import migrate as migrate_schema

__all__ = ["migrate"]


async def migrate(
    *,
    check: Annotated[
        bool, Parameter(help="Change nothing; exit code 3 if there is something to do.")
    ] = False,
    common: Common = COMMON,
) -> None:
    """Bring the database's schema up to date. Several may run at once."""
    settings = load(common)
    async with AsyncExitStack() as stack:
        url = settings.database.url
        if url is None:
            embedded = await start_embedded(settings.database.embedded_directory)
            stack.push_async_callback(embedded.close)
            url = embedded.url
        connection = await connect(url, settings.database.connect_timeout)
        stack.push_async_callback(connection.close)
        labels: tuple[str, ...] = ()
        if check:
            await check_schema(connection)
        else:
            labels = await migrate_schema(connection)
        version = len(await applied(connection))
    if common.json:
        common.output.json(
            {"database": name_database(settings), "applied": labels, "version": version}
        )
        return
    for label in labels:
        common.output.line(f"applied {label}")
    common.output.line(f"the schema is at version {version}")

"""`delivery migrate` and `delivery maintain`: the schema, its partitions, and old rows."""

# Without `from __future__ import annotations`: cyclopts reads the annotations.

from typing import Annotated

from cyclopts import Parameter

from delivery.cli.options import COMMON, Common, load
from delivery.errors import InvalidInput
from delivery.wording import counted

__all__ = ["maintain", "migrate"]


async def migrate(
    *,
    check: Annotated[
        bool, Parameter(help="Change nothing; exit code 3 if migrations are pending.")
    ] = False,
    grant: Annotated[
        tuple[str, ...],
        Parameter(help="Let this role produce and deliver without owning the schema; repeatable."),
    ] = (),
    grant_read: Annotated[
        tuple[str, ...], Parameter(help="Let this role read everything; repeatable.")
    ] = (),
    common: Common = COMMON,
) -> None:
    """Migrate the schema, and create the partitions of the next days.

    Concurrent runs are safe. The command needs the rights of the schema's owner. Workers do not:
    --grant lets their role write rows, and create partitions through a function of the owner.
    """
    from delivery.http.tls.contexts import has_authorities
    from delivery.service.database import check_database_schema, migrate_database, name_database

    settings = load(common)
    if not has_authorities():
        common.output.note(
            "This machine has no CA certificates: requests over HTTPS will fail"
            " (Debian, Ubuntu: apt-get install ca-certificates)."
        )
    if check and (grant or grant_read):
        message = "--check cannot be combined with --grant or --grant-read"
        raise InvalidInput(message)
    if check:
        state = await check_database_schema(settings)
    else:
        state = await migrate_database(settings, workers=grant, readers=grant_read)
    if common.json:
        common.output.json(
            {
                "database": name_database(settings),
                "applied": state.applied,
                "version": state.version,
                "granted": {"workers": grant, "readers": grant_read},
            }
        )
        return
    for label in state.applied:
        common.output.line(f"applied {label}")
    for role in grant:
        common.output.line(f"{role} may produce and deliver")
    for role in grant_read:
        common.output.line(f"{role} may read")
    common.output.line(f"the schema is at version {state.version}")


async def maintain(*, common: Common = COMMON) -> None:
    """Create the partitions of the next days, and remove dead workers.

    Running workers do this every hour. A database with producers only needs this command, such as
    in a daily cron job. It needs the rights of a worker; see `delivery migrate --grant`.
    """
    from delivery.service.database import maintain_database, name_database

    settings = load(common)
    made = await maintain_database(settings)
    if common.json:
        common.output.json({"database": name_database(settings), "partitions_made": made})
    else:
        common.output.line(f"made {counted(made, 'partition')}")

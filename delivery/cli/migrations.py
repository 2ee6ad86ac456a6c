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
        bool, Parameter(help="Change nothing; exit code 3 if migrations are missing.")
    ] = False,
    grant: Annotated[
        tuple[str, ...],
        Parameter(
            help="Let this role produce and deliver without owning the schema; may be repeated."
        ),
    ] = (),
    grant_read: Annotated[
        tuple[str, ...], Parameter(help="Let this role read everything; may be repeated.")
    ] = (),
    common: Common = COMMON,
) -> None:
    """Bring the database schema up to date, and make the partitions of the days ahead.

    Several may run at once. It needs the rights of the schema's owner. Workers need not have them:
    with --grant their role may write rows, and make partitions by a function of the owner's.
    """
    from delivery.http.tls.contexts import has_authorities
    from delivery.service.database import check_database_schema, migrate_database, name_database

    settings = load(common)
    if not has_authorities():
        common.output.note(
            "This machine has no certificates of authorities: calls by https will fail"
            " (Debian, Ubuntu: apt-get install ca-certificates)."
        )
    if check and (grant or grant_read):
        message = "--check changes nothing; leave out --grant and --grant-read, or --check"
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
    """Make the partitions of the days ahead, and forget workers that are long gone.

    Running workers do this every hour. The command is for databases that have producers only, for
    instance as a daily cron job. It needs the rights of a worker, see `delivery migrate --grant`.
    """
    from delivery.service.database import maintain_database, name_database

    settings = load(common)
    made = await maintain_database(settings)
    if common.json:
        common.output.json({"database": name_database(settings), "partitions_made": made})
    else:
        common.output.line(f"made {counted(made, 'partition')}")

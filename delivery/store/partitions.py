"""Daily partitions of the record tables."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from delivery.errors import DatabaseError
from delivery.store.driver.failures import CONNECTION_ERRORS, cause_of
from delivery.store.statements import statement

if TYPE_CHECKING:
    from delivery.store.driver.connection import Queryable

__all__ = ["MOST_DAYS_AHEAD", "days_left", "ensure_partitions", "is_missing_partition", "restore"]

MOST_DAYS_AHEAD: Final = 60
"""Maximum of the setting `partitions.days_ahead`."""


async def ensure_partitions(executor: Queryable, days_ahead: int) -> int:
    """Create the missing partitions up to `days_ahead` days ahead; return their number."""
    return await executor.fetchval(  # type: ignore[no-any-return]
        statement("ensure_partitions"), days_ahead
    )


async def days_left(executor: Queryable) -> int:
    """Return the number of days after today that have partitions; -1 if today's are missing.

    Up to `MOST_DAYS_AHEAD` days are counted.
    """
    return await executor.fetchval(  # type: ignore[no-any-return]
        statement("partitions_left"), MOST_DAYS_AHEAD
    )


def is_missing_partition(error: BaseException) -> bool:
    """Return True if a row was refused because its partition is missing.

    PostgreSQL has no separate error code for this: it reports a violated check that names the table
    and no constraint.
    """
    return cause_of(error).is_missing_partition


async def restore(executor: Queryable, days_ahead: int) -> None:
    """Create the missing partitions after a row was refused without them.

    Raises:
        DatabaseError: The connection's role cannot create them; the message names the remedy.
    """
    try:
        await ensure_partitions(executor, days_ahead)
    except CONNECTION_ERRORS as error:
        message = (
            "nothing can be written today: the partition for today's rows is missing and could not"
            f" be created ({error}); start a worker, or run `delivery migrate` as the owner of the"
            " schema"
        )
        raise DatabaseError(message) from error

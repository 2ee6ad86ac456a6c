"""The daily partitions of the record tables."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from delivery.errors import DatabaseError
from delivery.store.driver.failures import CONNECTION_ERRORS, cause_of
from delivery.store.statements import statement

if TYPE_CHECKING:
    from delivery.store.driver.connection import Executor

__all__ = ["MOST_DAYS_AHEAD", "days_left", "ensure_partitions", "is_missing_partition", "restore"]

MOST_DAYS_AHEAD: Final = 60
"""The greatest value of the setting `partitions.days_ahead`."""


async def ensure_partitions(executor: Executor, days_ahead: int) -> int:
    """Make the partitions missing from yesterday to `days_ahead` days on; return how many."""
    return await executor.fetchval(  # type: ignore[no-any-return]
        statement("ensure_partitions"), days_ahead
    )


async def days_left(executor: Executor) -> int:
    """Return for how many days after today there are partitions; -1 if today's are missing.

    No more than `MOST_DAYS_AHEAD` days are counted.
    """
    return await executor.fetchval(  # type: ignore[no-any-return]
        statement("partitions_left"), MOST_DAYS_AHEAD
    )


def is_missing_partition(error: BaseException) -> bool:
    """Return whether a row was refused because there is no partition for it.

    The server has no code of its own for that: it is a violated check that names the table and no
    constraint.
    """
    return cause_of(error).is_missing_partition


async def restore(executor: Executor, days_ahead: int) -> None:
    """Make the missing partitions after a row could not be written without them.

    Raises:
        DatabaseError: They cannot be made; the text says who can.
    """
    try:
        await ensure_partitions(executor, days_ahead)
    except CONNECTION_ERRORS as error:
        message = (
            "nothing can be written today: there is no partition for today's rows, and it cannot be"
            f" made ({error}); start a worker, or run `delivery migrate` as the owner of the schema"
        )
        raise DatabaseError(message) from error

"""Creation of a missing partition by a producer."""

from __future__ import annotations

from functools import wraps
from typing import TYPE_CHECKING, Concatenate, ParamSpec, Protocol, TypeVar

from delivery.errors import DatabaseError
from delivery.store.driver.failures import CONNECTION_ERRORS
from delivery.store.partitions import is_missing_partition, restore

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine
    from typing import Any

    from delivery.settings import Settings
    from delivery.store.driver.connection import Pool

__all__ = ["make_missing_partition", "making_partitions"]

P = ParamSpec("P")
T = TypeVar("T")


class _Writer(Protocol):
    """Object with verbs that write."""

    _pool: Pool
    _settings: Settings


W = TypeVar("W", bound=_Writer)


async def make_missing_partition(
    pool: Pool, days_ahead: int, error: Exception, *, is_own: bool
) -> None:
    """Create the partition that `error` reports as missing, so that the caller can retry.

    Workers create partitions days in advance, so this only happens without workers for days.

    Args:
        pool: Pool of the database.
        days_ahead: Number of days to create.
        error: Error of the statement. It is raised again if it has another cause.
        is_own: True for a transaction of the engine, false for one of the caller.

    Raises:
        DatabaseError: If the creation fails, or the caller must restart its transaction.
    """
    if not is_missing_partition(error):
        raise error
    await restore(pool, days_ahead)
    if not is_own:
        message = (
            "the partition for today's rows was missing and was created, but the transaction on"
            " `connection` has failed; roll it back and restart it"
        )
        raise DatabaseError(message) from error


def making_partitions(
    verb: Callable[Concatenate[W, P], Awaitable[T]],
) -> Callable[Concatenate[W, P], Coroutine[Any, Any, T]]:
    """Wrap a verb that takes `connection` to create a missing partition and retry."""

    @wraps(verb)
    async def wrapped(self: W, /, *args: P.args, **options: P.kwargs) -> T:
        try:
            return await verb(self, *args, **options)
        except CONNECTION_ERRORS as error:
            days_ahead = self._settings.partitions.days_ahead
            is_own = options.get("connection") is None
            await make_missing_partition(self._pool, days_ahead, error, is_own=is_own)
        return await verb(self, *args, **options)

    return wrapped

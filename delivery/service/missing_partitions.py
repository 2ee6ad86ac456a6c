"""The reaction of a producer to a missing partition for today's rows."""

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
    """Something with verbs that write."""

    _pool: Pool
    _settings: Settings


W = TypeVar("W", bound=_Writer)


async def make_missing_partition(
    pool: Pool, days_ahead: int, error: Exception, *, is_own: bool
) -> None:
    """Make the partition that `error` is about, so that the same can be written again.

    Workers make partitions days ahead. This is for a database that has had no worker for so long.

    Args:
        pool: Where to make it.
        days_ahead: For how many days, if any are missing.
        error: Why a row was refused. It is raised again if that was for another reason.
        is_own: Whether the row was written in a transaction of our own.

    Raises:
        DatabaseError: It cannot be made, or the caller must begin the transaction again.
    """
    if not is_missing_partition(error):
        raise error
    await restore(pool, days_ahead)
    if not is_own:
        message = (
            "there was no partition for today's rows; it has been made, but the transaction on"
            " `connection` has failed: roll it back and begin it again"
        )
        raise DatabaseError(message) from error


def making_partitions(
    verb: Callable[Concatenate[W, P], Awaitable[T]],
) -> Callable[Concatenate[W, P], Coroutine[Any, Any, T]]:
    """Let a verb that takes `connection` make the partition that it misses, and write again."""

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

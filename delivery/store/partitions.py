"""The daily partitions of the record tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

from delivery.store.statements import statement

if TYPE_CHECKING:
    from delivery.store.connection import Executor

__all__ = ["ensure_partitions"]


async def ensure_partitions(executor: Executor, days_ahead: int) -> int:
    """Make what is missing from yesterday to `days_ahead` days on; returns how many were made."""
    return await executor.fetchval(  # type: ignore[no-any-return]
        statement("ensure_partitions"), days_ahead
    )

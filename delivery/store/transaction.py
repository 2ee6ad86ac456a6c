"""One transaction on one connection of the pool."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from delivery.store.connection import Connection, Pool

__all__ = ["transaction"]


@asynccontextmanager
async def transaction(pool: Pool) -> AsyncIterator[Connection]:
    """Commits at the end, rolls back on an error; READ COMMITTED, as all statements expect."""
    async with pool.acquire() as connection, connection.transaction(isolation="read_committed"):
        yield connection

"""Changes of the schema while workers write."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio

from delivery.errors import DatabaseConflict

if TYPE_CHECKING:
    from delivery.store.driver.connection import Pool

__all__ = ["change_schema"]


async def change_schema(pool: Pool, statement: str) -> None:
    """Run a statement, and run it again if PostgreSQL ends it to resolve a deadlock.

    A change of a partitioned table locks its partitions in another order than a statement that
    writes.
    """
    with anyio.fail_after(60):
        while True:
            try:
                await pool.execute(statement)
            except DatabaseConflict:
                continue
            return

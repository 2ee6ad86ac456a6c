"""Register of worker processes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from delivery.store.statements import statement

if TYPE_CHECKING:
    from uuid import UUID

    from delivery.clock import Clock
    from delivery.store.driver.connection import Queryable

__all__ = ["WorkerIdentity", "beat", "count_living", "forget_old", "remove", "synchronise"]


@dataclass(frozen=True, slots=True)
class WorkerIdentity:
    """Identity of a worker process in the register."""

    id: UUID
    host: str
    pid: int
    version: str


async def beat(executor: Queryable, identity: WorkerIdentity, clock: Clock) -> None:
    """Register the worker or renew its heartbeat, and read the database's clock."""
    sent_at = clock.steady()
    epoch = await executor.fetchval(
        statement("heartbeat"), identity.id, identity.host, identity.pid, identity.version
    )
    clock.synchronise(epoch, sent_at, clock.steady())


async def synchronise(executor: Queryable, clock: Clock) -> None:
    """Read the database's clock."""
    sent_at = clock.steady()
    epoch = await executor.fetchval(statement("database_time"))
    clock.synchronise(epoch, sent_at, clock.steady())


async def remove(executor: Queryable, worker_id: UUID) -> None:
    """Delete a stopped worker, unless it holds a lease, which must be reaped first."""
    await executor.execute(statement("delete_worker"), worker_id)


async def forget_old(executor: Queryable) -> None:
    """Delete workers without a heartbeat for a day and without leases."""
    await executor.execute(statement("delete_old_workers"))


async def count_living(executor: Queryable, dead_after: float) -> int:
    """Count the workers with a heartbeat within this many seconds."""
    count: int = await executor.fetchval(statement("count_living_workers"), dead_after)
    return count

"""The register of worker processes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from delivery.store.statements import statement

if TYPE_CHECKING:
    from uuid import UUID

    from delivery.clock import Clock
    from delivery.store.driver.connection import Executor

__all__ = ["WorkerIdentity", "beat", "count_living", "forget_old", "remove", "synchronise"]


@dataclass(frozen=True, slots=True)
class WorkerIdentity:
    """Who a worker process is, for those who look at the register."""

    id: UUID
    host: str
    pid: int
    version: str


async def beat(executor: Executor, identity: WorkerIdentity, clock: Clock) -> None:
    """Register the worker or renew its heartbeat, and read the database's clock."""
    sent_at = clock.steady()
    epoch = await executor.fetchval(
        statement("heartbeat"), identity.id, identity.host, identity.pid, identity.version
    )
    clock.synchronise(epoch, sent_at, clock.steady())


async def synchronise(executor: Executor, clock: Clock) -> None:
    """Read the database's clock."""
    sent_at = clock.steady()
    epoch = await executor.fetchval(statement("database_time"))
    clock.synchronise(epoch, sent_at, clock.steady())


async def remove(executor: Executor, worker_id: UUID) -> None:
    """Forget a worker that stopped, unless it still holds a lease, which must be reaped first."""
    await executor.execute(statement("remove_worker"), worker_id)


async def forget_old(executor: Executor) -> None:
    """Forget workers unseen for a day that hold nothing."""
    await executor.execute(statement("forget_workers"))


async def count_living(executor: Executor, dead_after: float) -> int:
    """Count the workers that have shown within this many seconds that they live."""
    count: int = await executor.fetchval(statement("count_living_workers"), dead_after)
    return count

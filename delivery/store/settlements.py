"""Settling: the statement that writes log rows and the next states of jobs."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from delivery.policy.lane_limits import HELD_PRIORITY
from delivery.store.statements import statement

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID

    from delivery.store.driver.connection import Queryable

__all__ = ["Settled", "Settlement", "limit_lock_waits", "settle"]


class Settlement(NamedTuple):
    """Result of one claimed job: the fields of the type `delivery.settlement_v1`, in its order.

    A tuple, because asyncpg passes a tuple as a composite type without copying it.
    """

    lease_id: UUID
    job_id: UUID
    claim: int
    lane: UUID
    priority: int
    status: str
    attempt: int
    """Number of ended attempts, including this one if it was made."""
    uncounted: int
    run_at: float | None
    """Due time of a job that returns to the queue, in seconds since the epoch; None: unchanged."""
    exhausted: bool
    failure_kind: str | None
    error: str | None
    status_code: int | None
    finished_at: float
    """Seconds since the epoch."""
    log_id: UUID | None = None
    """None: no attempt was made, so no log row is written."""
    trigger_id: UUID | None = None
    reaction_id: UUID | None = None
    tenant_id: str = ""
    outcome: str | None = None
    method: str | None = None
    endpoint: str | None = None
    duration_ms: float | None = None
    dns_ms: float | None = None
    connect_ms: float | None = None
    tls_ms: float | None = None
    send_ms: float | None = None
    first_byte_ms: float | None = None
    remote_address: str | None = None
    reused: bool | None = None
    truncated: bool | None = None
    request_head: bytes | None = None
    request_body: bytes | None = None
    """None with a `request_size`: the body is the payload."""
    request_size: int | None = None
    response_head: bytes | None = None
    response_body: bytes | None = None
    response_size: int | None = None
    stalled: bool = False
    """True if the attempt was lost with its worker."""


class Settled(NamedTuple):
    """Changes made by a batch of results: the columns of `settle.sql`, in its order."""

    jobs: int
    """Number of settled jobs; the others had lost their lease and were logged as `late`."""
    exhausted: list[UUID] | None
    """Jobs that the batch has exhausted."""
    recovering: list[UUID] | None
    """Reactions with failed calls, whose endpoint has now settled a job."""


async def settle(
    executor: Queryable,
    worker_id: UUID,
    settlements: Sequence[Settlement],
    finished_leases: Sequence[UUID],
) -> Settled:
    """Write the results of claims of `worker_id`, and delete its finished leases.

    Repeating a call, for instance after a lost response to a commit, changes nothing.
    """
    row = await executor.fetchrow(
        statement("settle"), worker_id, finished_leases, settlements, HELD_PRIORITY
    )
    assert row is not None
    return Settled(*row)


async def limit_lock_waits(executor: Queryable) -> None:
    """Make statements of the caller's transaction fail soon if they wait for a lock."""
    await executor.execute(statement("limit_lock_waits"))

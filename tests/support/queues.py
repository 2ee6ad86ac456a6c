"""Jobs in a database without an engine, for tests of SQL statements."""

from __future__ import annotations

import time
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from delivery.clock import Clock, IdFactory, job_id_for
from delivery.errors import MissingRights
from delivery.message.storage.calls import encode_params
from delivery.message.storage.encryption import Cipher
from delivery.models import HttpParams, Outcome
from delivery.settings import Settings
from delivery.store import queue, reactions
from delivery.store.arrivals import FanOut, NewJob, NewTrigger, write_fan_out
from delivery.store.catalogs import load_catalog
from delivery.store.driver.connection import open_pool
from delivery.store.partitions import ensure_partitions
from delivery.store.settlements import Settlement

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from datetime import datetime
    from uuid import UUID

    from delivery.store.driver.connection import Pool
    from delivery.store.queue import ClaimedJob

__all__ = ["CALL", "Bench", "opened", "succeeded"]


_PARAMS = HttpParams("http://127.0.0.1:9/")
CALL: dict[str, Any] = {
    "params": _PARAMS,
    "call": encode_params(_PARAMS, Cipher()),
    "signing": "[]",
    "metadata": {},
}
"""Arguments of `reactions.insert` for a call without secrets."""


@dataclass(frozen=True, slots=True)
class Bench:
    """A database with one reaction, and ids for tests."""

    pool: Pool
    ids: IdFactory
    reaction_id: UUID
    worker_id: UUID

    async def enqueue(
        self,
        count: int,
        *,
        reaction_id: UUID | None = None,
        priority: int = 100,
        run_at: datetime | None = None,
    ) -> list[UUID]:
        """Write a trigger and a job for each; return the ids of the jobs."""
        reaction = reaction_id or self.reaction_id
        catalog = await load_catalog(self.pool, "default")
        fan_out = FanOut("default", catalog.version)
        for number in range(count):
            trigger_id = self.ids.new()
            fan_out.triggers.append(NewTrigger(trigger_id, "test", b"%d" % number))
            fan_out.jobs.append(
                NewJob(
                    job_id_for(trigger_id, reaction),
                    trigger_id,
                    reaction,
                    1,
                    priority,
                    5,
                    run_at,
                    None,
                    None,
                )
            )
        assert await write_fan_out(self.pool, fan_out) is not None
        return [job.id for job in fan_out.jobs]

    async def claim(
        self, quota: int, *, priority: int = 100, worker_id: UUID | None = None
    ) -> tuple[UUID, list[ClaimedJob]]:
        """Claim jobs of the reaction; return the lease and its jobs."""
        lease_id = self.ids.new()
        claim = await queue.claim(
            self.pool,
            lease_id,
            worker_id or self.worker_id,
            [((self.reaction_id, priority), quota)],
            {},
        )
        return lease_id, claim.jobs

    async def add_reaction(self) -> UUID:
        """Add another reaction like the first."""
        added = await reactions.insert(
            self.pool,
            reaction_id=self.ids.new(),
            tenant_id="default",
            area_id=None,
            name="another",
            event_types=["*"],
            condition=None,
            priority=100,
            **CALL,
        )
        return added.shown.id


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[Bench]:
    """Open a bench on the database."""
    pool = await open_pool(Settings(), url)
    try:
        # The template has the partitions, unless its day is over.
        with suppress(MissingRights):
            await ensure_partitions(pool, 1)
        ids = IdFactory(Clock())
        bench = Bench(pool, ids, ids.new(), ids.new())
        await reactions.insert(
            pool,
            reaction_id=bench.reaction_id,
            tenant_id="default",
            area_id=None,
            name="test",
            event_types=["*"],
            condition=None,
            priority=100,
            **CALL,
        )
        yield bench
    finally:
        await pool.close()


def succeeded(bench: Bench, lease_id: UUID, job: ClaimedJob, **changes: Any) -> Settlement:
    """Return the settlement of a successful call."""
    now = time.time()
    return Settlement(
        lease_id=lease_id,
        job_id=job.job_id,
        claim=job.claim,
        lane=job.lane,
        priority=job.priority,
        status="succeeded",
        attempt=job.attempt + 1,
        uncounted=job.uncounted,
        run_at=None,
        exhausted=False,
        failure_kind=None,
        error=None,
        status_code=200,
        finished_at=now,
        log_id=bench.ids.new(),
        trigger_id=job.trigger_id,
        reaction_id=job.reaction_id,
        tenant_id=job.tenant_id,
        outcome=Outcome.SUCCEEDED.value,
        method="POST",
        endpoint="http://127.0.0.1:9/",
        duration_ms=1.5,
    )._replace(**changes)

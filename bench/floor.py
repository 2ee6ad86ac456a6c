"""The floor: the engine's statements and HTTP exchange without the rest of the engine.

The engine is measured against it. It claims 200 jobs at a time from 10 lanes, signs, calls and
settles finished jobs. It has no lane state, limits, heartbeat, retries or shutdown. Each run is a
separate process: `python -m bench.floor DATABASE_URL JOBS`.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from typing import TYPE_CHECKING

from bench.run import in_own_process
from delivery.clock import Clock, IdFactory
from delivery.engine.runners.prepared_calls import PreparedCall, prepare_stored
from delivery.http.guard import Guard
from delivery.http.native import NativeTransport
from delivery.http.request import Request
from delivery.message.storage.encryption import Cipher
from delivery.settings import Settings, load_settings
from delivery.store import queue, reactions
from delivery.store.catalogs import load_catalog
from delivery.store.driver.connection import open_pool
from delivery.store.settlements import Settlement, settle

if TYPE_CHECKING:
    from uuid import UUID

    from delivery.store.driver.connection import Pool
    from delivery.store.queue import ClaimedJob

__all__ = ["deliver_all"]

_CLAIM = 200
_LANES = 10
_CALLS = 64
_SETTLE = 500


class _Floor:
    def __init__(self, pool: Pool, jobs: int, settings: Settings) -> None:
        self.pool = pool
        self.left = jobs
        self.ids = IdFactory(Clock())
        self.worker_id = self.ids.new()
        self.transport = NativeTransport(
            Guard(["127.0.0.0/8"]), 15.0, _CALLS, 65_536, settings.http.max_response_body
        )
        self.calls: dict[UUID, PreparedCall] = {}
        self.lanes: deque[UUID] = deque()
        self.waiting: deque[tuple[UUID, ClaimedJob]] = deque()
        self.results: list[Settlement] = []
        self.unsettled: dict[UUID, int] = {}
        self.arrived = asyncio.Event()
        self.wanted = asyncio.Event()
        self.ready = asyncio.Event()

    async def prepare(self, settings: Settings) -> None:
        catalog = await load_catalog(self.pool, "bench")
        stored = await reactions.load_versions(
            self.pool, [(entry.id, entry.version) for entry in catalog.entries]
        )
        cipher = Cipher(settings.secrets.texts())
        for (reaction_id, _), version in stored.items():
            self.calls[reaction_id] = prepare_stored(version, settings.http, cipher)
            self.lanes.append(reaction_id)

    async def claim(self) -> None:
        unclaimed = self.left
        while unclaimed:
            if len(self.waiting) > _CLAIM:
                self.wanted.clear()
                await self.wanted.wait()
            quotas = [((self.lanes[n], 100), _CLAIM // _LANES) for n in range(_LANES)]
            self.lanes.rotate(-_LANES)
            lease_id = self.ids.new()
            jobs, _ = await queue.claim(self.pool, lease_id, self.worker_id, quotas, {})
            self.unsettled[lease_id] = len(jobs)
            unclaimed -= len(jobs)
            self.waiting.extend((lease_id, job) for job in jobs)
            self.arrived.set()

    async def call(self) -> None:
        waiting, send, new_id = self.waiting, self.transport.send, self.ids.new
        while True:
            while not waiting:
                self.arrived.clear()
                await self.arrived.wait()
            lease_id, job = waiting.popleft()
            if len(waiting) == _CLAIM:
                self.wanted.set()
            call = self.calls[job.lane]
            head, stored_head, body, *_ = call.template.render(
                f"msg_{job.job_id.hex}", int(time.time()), "", 0.0, job.payload or b""
            )
            done = await send(
                Request(call.endpoint, "POST", head, body, call.timeout, call.connect_timeout)
            )
            self.results.append(
                Settlement(
                    lease_id, job.job_id, job.claim, job.lane, 100, "succeeded", 1, 0, None,
                    False, None, None, done.status_code, time.time(), new_id(), job.trigger_id,
                    job.reaction_id, job.tenant_id, "succeeded", "POST", call.redacted_url,
                    done.total_ms, done.dns_ms, done.connect_ms, done.tls_ms, done.send_ms,
                    done.first_byte_ms, done.remote_address, done.reused, False, stored_head,
                    None, len(body), done.response_head, done.response_body, done.response_size,
                )
            )  # fmt: skip
            self.ready.set()

    async def settle(self) -> None:
        while self.left:
            if not self.results:
                self.ready.clear()
                await self.ready.wait()
            batch, self.results = self.results[:_SETTLE], self.results[_SETTLE:]
            finished = []
            for settlement in batch:
                self.unsettled[settlement.lease_id] -= 1
                if not self.unsettled[settlement.lease_id]:
                    finished.append(settlement.lease_id)
            await settle(self.pool, self.worker_id, batch, finished)
            self.left -= len(batch)


async def deliver_all(database_url: str, jobs: int) -> None:
    """Deliver all jobs in the database."""
    settings = load_settings()
    pool = await open_pool(settings, database_url)
    floor = _Floor(pool, jobs, settings)
    await floor.prepare(settings)
    callers = [asyncio.create_task(floor.call()) for _ in range(_CALLS)]
    claimer = asyncio.create_task(floor.claim())
    await floor.settle()
    await claimer
    for caller in callers:
        caller.cancel()
    await asyncio.wait(callers)
    await floor.transport.aclose()
    await pool.close()


if __name__ == "__main__":
    in_own_process(deliver_all)

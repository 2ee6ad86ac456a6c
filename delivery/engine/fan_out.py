"""Fan-out: a trigger and one job per matching reaction, in one statement.

Each producer matches against its own copy of a tenant's reactions, so that the only round trip is
the one that writes. The statement writes only if that copy is current; otherwise the copy is read
anew and the statement repeated.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import OrderedDict
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, TypeVar

from delivery.clock import job_id_for
from delivery.engine.complaints import Complaints
from delivery.message.payload import decode_payload
from delivery.models import Trigger
from delivery.policy.matching import MatchEntry, Matcher
from delivery.store import reactions, triggers
from delivery.store.transaction import transaction
from delivery.store.triggers import FanOut

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Coroutine, Sequence
    from datetime import datetime
    from uuid import UUID

    from delivery.clock import IdFactory
    from delivery.engine.wake import Waker
    from delivery.store.connection import Connection, Executor, Pool
    from delivery.store.queue import LaneKey
    from delivery.store.reactions import CatalogEntry

__all__ = ["FanOutWriter", "TriggerDraft"]

T = TypeVar("T")

logger = logging.getLogger(__name__)

_TENANTS_KEPT: Final = 1_000
_ROWS_A_STATEMENT: Final = 500
"""Triggers and jobs in one statement, about; a single trigger's jobs are never divided."""


@dataclass(frozen=True, slots=True)
class TriggerDraft:
    """A trigger that was checked and is to be written; None: the reaction's, or now."""

    type: str
    payload: bytes
    user_id: str | None
    run_at: datetime | None
    priority: int | None
    deadline: datetime | None
    stored_payload: bytes | None = None
    """The payload as it is stored; None: as it is."""
    is_own: bool = False
    """Whether the engine itself raises it: then `*` does not match."""


@dataclass(frozen=True, slots=True)
class _TenantCopy:
    version: int
    matcher: Matcher[CatalogEntry]


@dataclass(slots=True)
class _Part:
    """What one statement writes."""

    rows: FanOut
    triggers: list[tuple[tuple[UUID, str, bytes], tuple[UUID, ...]]] = field(default_factory=list)
    """The triggers' rows, and the ids of the jobs of each."""
    lanes: set[LaneKey] = field(default_factory=set)


class FanOutWriter:
    """Writes triggers with their jobs, and wakes dispatchers for them."""

    def __init__(self, pool: Pool, ids: IdFactory, waker: Waker) -> None:
        self._pool = pool
        self._ids = ids
        self._waker = waker
        self._copies: OrderedDict[str, _TenantCopy] = OrderedDict()
        self._complaints = Complaints()

    async def write(
        self, tenant_id: str, drafts: Sequence[TriggerDraft], connection: Connection | None
    ) -> list[Trigger]:
        """Write all of them, or none; on the caller's transaction if a `connection` is given."""
        if connection is not None:
            written, lanes, notified = await self._write_all(
                connection, tenant_id, drafts, callers=True
            )
            if lanes and not notified:
                # Too soon after the last notification, and when the caller commits is not known:
                # one a little later may still come too early, and then polling finds the jobs.
                self._waker.announce(lanes, notified=False, to_this_process=True)
            return written
        if len(drafts) == 1:
            written, lanes, notified = await self._write_all(self._pool, tenant_id, drafts)
        else:
            async with transaction(self._pool) as own:
                written, lanes, notified = await self._write_all(own, tenant_id, drafts)
        self._waker.announce(lanes, notified=notified)
        return written

    def forget(self, tenant_id: str) -> None:
        """Read the tenant's reactions anew next time."""
        self._copies.pop(tenant_id, None)

    async def _write_all(
        self,
        executor: Executor,
        tenant_id: str,
        drafts: Sequence[TriggerDraft],
        *,
        callers: bool = False,
    ) -> tuple[list[Trigger], set[LaneKey], bool]:
        """Write them; `callers`: in a transaction of the caller's, whose end is not known here."""
        written: list[Trigger] = []
        lanes: set[LaneKey] = set()
        notified = False
        copy = await self._copy(executor, tenant_id)
        following = await self._plan(tenant_id, copy, drafts)
        while following.triggers:
            planned = following
            wake = None
            if planned.lanes:
                wake = self._waker.notification(planned.lanes, to_this_process=callers)
            rest = drafts[len(written) + len(planned.triggers) :]
            write = triggers.write_fan_out(executor, planned.rows, wake)
            if rest:
                # The server works on one part while the next is put together.
                async with _meanwhile(write) as writing:
                    following = await self._plan(tenant_id, copy, rest)
                    created_at = await writing
            else:
                following = _Part(FanOut(tenant_id, copy.version))
                created_at = await write
            if created_at is None:
                copy = await self._read_anew(executor, tenant_id)
                following = await self._plan(tenant_id, copy, drafts[len(written) :])
                continue
            notified = notified or wake is not None
            lanes |= planned.lanes
            written += [
                _trigger(tenant_id, row, created_at, jobs) for row, jobs in planned.triggers
            ]
        return written, lanes, notified

    async def _plan(
        self, tenant_id: str, copy: _TenantCopy, drafts: Sequence[TriggerDraft]
    ) -> _Part:
        """As many of the drafts as fit one statement, with their jobs and the lanes of these."""
        fan_out = FanOut(tenant_id, copy.version)
        part = _Part(fan_out)
        keys = part.lanes
        for draft in drafts:
            trigger_id = self._ids.new()
            stored = draft.payload if draft.stored_payload is None else draft.stored_payload
            row = (trigger_id, draft.type, stored)
            jobs = []
            for reaction in await self._matching(tenant_id, copy, draft):
                job_id = job_id_for(trigger_id, reaction.id)
                priority = reaction.priority if draft.priority is None else draft.priority
                jobs.append(job_id)
                keys.add((reaction.id, priority))
                fan_out.jobs.append(
                    (
                        job_id,
                        trigger_id,
                        reaction.id,
                        reaction.version,
                        priority,
                        reaction.max_attempts,
                        draft.run_at,
                        draft.deadline,
                        draft.user_id,
                    )
                )
            fan_out.triggers.append(row)
            part.triggers.append(((trigger_id, draft.type, draft.payload), tuple(jobs)))
            if len(fan_out.triggers) + len(fan_out.jobs) >= _ROWS_A_STATEMENT:
                break
        return part

    async def _matching(
        self, tenant_id: str, copy: _TenantCopy, draft: TriggerDraft
    ) -> list[CatalogEntry]:
        """Return the reactions that the draft concerns; other work goes on between conditions."""
        found = None
        for found in copy.matcher.search(
            draft.type, lambda: decode_payload(draft.payload), by_name=draft.is_own
        ):
            if found is None:
                await asyncio.sleep(0)
        assert found is not None
        matched, errors = found
        for reaction, error in errors:
            if self._complaints.is_due(reaction.id, time.monotonic()):
                logger.warning(
                    "the condition of reaction %s of tenant %s cannot be evaluated on a trigger of"
                    " type %s, so it does not match (reported once a minute at most): %s",
                    reaction.id,
                    tenant_id,
                    draft.type,
                    error,
                )
        return matched

    async def _copy(self, executor: Executor, tenant_id: str) -> _TenantCopy:
        copy = self._copies.get(tenant_id)
        if copy is None:
            return await self._read_anew(executor, tenant_id)
        self._copies.move_to_end(tenant_id)
        return copy

    async def _read_anew(self, executor: Executor, tenant_id: str) -> _TenantCopy:
        catalog = await reactions.load_catalog(executor, tenant_id)
        matcher = Matcher(
            [MatchEntry(entry, entry.event_types, entry.condition) for entry in catalog.entries]
        )
        copy = self._copies[tenant_id] = _TenantCopy(catalog.version, matcher)
        self._copies.move_to_end(tenant_id)
        while len(self._copies) > _TENANTS_KEPT:
            self._copies.popitem(last=False)
        return copy


@asynccontextmanager
async def _meanwhile(work: Coroutine[Any, Any, T]) -> AsyncIterator[asyncio.Task[T]]:
    """Lets work begin, and goes on beside it; if that fails, the work is cut off."""
    task = asyncio.create_task(work)
    await asyncio.sleep(0)
    try:
        yield task
    except BaseException:
        task.cancel()
        await asyncio.wait([task])
        raise


def _trigger(
    tenant_id: str, row: tuple[UUID, str, bytes], created_at: datetime, jobs: tuple[UUID, ...]
) -> Trigger:
    trigger_id, event_type, payload = row
    return Trigger(trigger_id, tenant_id, event_type, payload, created_at, jobs)

"""Fan-out: a trigger and one job per matching reaction, in one statement.

Each producer matches against its own copy of a tenant's reactions, so that the only round trip is
the one that writes. The statement writes only if that copy is current; otherwise the copy is read
again and the statement repeated.

The copy that all triggers of the process share is read on the engine's own connections only,
outside of transactions that may have changed reactions. A caller's transaction may see other
reactions, because it has changed some or because its snapshot is older. Then they are read in that
transaction, and used for this one write only.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeVar

from delivery.clock import job_id_for
from delivery.message.request.payload import decode_payload
from delivery.models import Trigger
from delivery.observe.repeated_logs import RepeatedLogs
from delivery.policy.matching import MatchEntry, Matcher
from delivery.store.arrivals import FanOut, NewJob, NewTrigger, write_fan_out
from delivery.store.catalogs import load_catalog
from delivery.store.driver.transaction import after_commit, transaction

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
    from datetime import datetime
    from uuid import UUID

    from delivery.clock import IdFactory
    from delivery.queue.wakeups import Waker
    from delivery.store.catalogs import CatalogEntry
    from delivery.store.driver.caller import CallersTransaction
    from delivery.store.driver.connection import Connection, Pool, Queryable
    from delivery.store.queue import LaneKey

__all__ = ["FanOutWriter", "TriggerDraft"]

T = TypeVar("T")

logger = logging.getLogger(__name__)

_TENANTS_KEPT: Final = 1_000
_ROWS_A_STATEMENT: Final = 500
"""Triggers and jobs in one statement, about; a single trigger's jobs are never divided."""


@dataclass(frozen=True, slots=True)
class TriggerDraft:
    """Checked trigger to write. None stands for the value of the reaction, or for now."""

    type: str
    payload: bytes
    user_id: str | None
    run_at: datetime | None
    priority: int | None
    deadline: datetime | None
    stored_payload: bytes | None = None
    """Payload in its stored form, if that differs."""
    is_own: bool = False
    """True for the engine's own triggers, which `*` does not match."""


@dataclass(frozen=True, slots=True)
class _TenantCopy:
    version: int
    matcher: Matcher[CatalogEntry]
    is_private: bool = False
    """True if it was read in a transaction that may see other reactions."""


@dataclass(slots=True)
class _Part:
    """Rows of one statement."""

    rows: FanOut
    triggers: list[tuple[NewTrigger, tuple[UUID, ...]]] = field(default_factory=list)
    """Rows of the triggers, with the ids of their jobs."""
    lanes: set[LaneKey] = field(default_factory=set)


class FanOutWriter:
    """Writer of triggers with their jobs, which wakes consumers for them."""

    def __init__(self, pool: Pool, ids: IdFactory, waker: Waker) -> None:
        self._pool = pool
        self._ids = ids
        self._waker = waker
        self._copies: OrderedDict[str, _TenantCopy] = OrderedDict()
        self._faults = RepeatedLogs(logger)
        self._complaints = RepeatedLogs(logger, every=60.0)

    async def write(self, tenant_id: str, drafts: Sequence[TriggerDraft]) -> list[Trigger]:
        """Write all of them, or none, in a separate transaction."""
        if len(drafts) == 1:
            written, lanes = await self._write_all(
                self._pool, tenant_id, drafts, self._shared(self._pool, tenant_id)
            )
        else:
            async with transaction(self._pool) as own:
                written, lanes = await self._write_all(
                    own, tenant_id, drafts, self._shared(own, tenant_id)
                )
        self._waker.announce(lanes)
        return written

    async def write_for_caller(
        self, tenant_id: str, drafts: Sequence[TriggerDraft], callers: CallersTransaction
    ) -> list[Trigger]:
        """Write all of them in a caller's transaction, which commits or rolls them back.

        Raises:
            UnusableConnection: if the transaction has failed, or its connection cannot be used.
            DatabaseError: if the database refuses it; the transaction has then failed.
        """

        async def read(outdated: _TenantCopy | None) -> _TenantCopy:
            if outdated is None or not outdated.is_private:
                known = self._copies.get(tenant_id)
                if known is None or known is outdated:
                    known = await self._read_shared(self._pool, tenant_id)
                if outdated is None or known.version != outdated.version:
                    return known
            return await self._read_private(callers, tenant_id)

        written, lanes = await self._write_all(callers, tenant_id, drafts, read)
        self._waker.announce_after(callers.connection, lanes)
        return written

    async def write_within(
        self, tenant_id: str, drafts: Sequence[TriggerDraft], connection: Connection
    ) -> list[Trigger]:
        """Write all of them in a transaction of the engine's, which may have changed reactions."""

        async def read(_outdated: _TenantCopy | None) -> _TenantCopy:
            # Not on the pool: waiting for a second connection while holding one may never end.
            return await self._read_private(connection, tenant_id)

        written, lanes = await self._write_all(connection, tenant_id, drafts, read)
        after_commit(connection, partial(self._waker.announce, lanes))
        return written

    def _shared(
        self, executor: Queryable, tenant_id: str
    ) -> Callable[[_TenantCopy | None], Awaitable[_TenantCopy]]:
        async def read(outdated: _TenantCopy | None) -> _TenantCopy:
            known = self._copies.get(tenant_id)
            if known is None or outdated is not None:
                return await self._read_shared(executor, tenant_id)
            self._copies.move_to_end(tenant_id)
            return known

        return read

    async def _write_all(
        self,
        executor: Queryable | CallersTransaction,
        tenant_id: str,
        drafts: Sequence[TriggerDraft],
        read: Callable[[_TenantCopy | None], Awaitable[_TenantCopy]],
    ) -> tuple[list[Trigger], set[LaneKey]]:
        """Write triggers with their jobs.

        Args:
            executor: Connection or pool.
            tenant_id: Tenant of the triggers.
            drafts: Triggers.
            read: Returns the reactions of the tenant, first for None, and then again for each copy
                that was not current.
        """
        written: list[Trigger] = []
        lanes: set[LaneKey] = set()
        copy = await read(None)
        following = await self._plan(tenant_id, copy, drafts)
        while following.triggers:
            planned = following
            rest = drafts[len(written) + len(planned.triggers) :]
            write = write_fan_out(executor, planned.rows)
            if rest:
                # The server writes one part while the next is planned.
                async with _meanwhile(write) as writing:
                    following = await self._plan(tenant_id, copy, rest)
                    created_at = await writing
            else:
                following = _Part(FanOut(tenant_id, copy.version))
                created_at = await write
            if created_at is None:
                copy = await read(copy)
                following = await self._plan(tenant_id, copy, drafts[len(written) :])
                continue
            lanes |= planned.lanes
            written += [
                _trigger(tenant_id, row, created_at, jobs) for row, jobs in planned.triggers
            ]
        return written, lanes

    async def _plan(
        self, tenant_id: str, copy: _TenantCopy, drafts: Sequence[TriggerDraft]
    ) -> _Part:
        """Return the rows of as many drafts as fit one statement, with their jobs and lanes."""
        fan_out = FanOut(tenant_id, copy.version)
        part = _Part(fan_out)
        keys = part.lanes
        for draft in drafts:
            trigger_id = self._ids.new()
            stored = draft.payload if draft.stored_payload is None else draft.stored_payload
            row = NewTrigger(trigger_id, draft.type, stored)
            jobs = []
            for reaction in await self._matching(tenant_id, copy, draft):
                job_id = job_id_for(trigger_id, reaction.id)
                priority = reaction.priority if draft.priority is None else draft.priority
                jobs.append(job_id)
                keys.add((reaction.id, priority))
                fan_out.jobs.append(
                    NewJob(
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
            given = row if stored is draft.payload else row._replace(payload=draft.payload)
            part.triggers.append((given, tuple(jobs)))
            if len(fan_out.triggers) + len(fan_out.jobs) >= _ROWS_A_STATEMENT:
                break
        return part

    async def _matching(
        self, tenant_id: str, copy: _TenantCopy, draft: TriggerDraft
    ) -> list[CatalogEntry]:
        """Return the reactions that match the draft; other work runs between conditions."""
        found = None
        for found in copy.matcher.search(
            draft.type, lambda: decode_payload(draft.payload), by_name=draft.is_own
        ):
            if found is None:
                await asyncio.sleep(0)
        assert found is not None
        matched, errors = found
        for reaction, error in errors:
            if self._complaints.is_due(reaction.id):
                logger.warning(
                    "the condition of reaction %s of tenant %s cannot be evaluated on a trigger of"
                    " type %s, so it does not match (reported once a minute at most): %s",
                    reaction.id,
                    tenant_id,
                    draft.type,
                    error,
                )
        return matched

    async def _read_shared(self, executor: Queryable, tenant_id: str) -> _TenantCopy:
        """Read the tenant's reactions for all triggers of this process."""
        copy = self._copies[tenant_id] = await self._read(executor, tenant_id)
        self._copies.move_to_end(tenant_id)
        while len(self._copies) > _TENANTS_KEPT:
            self._copies.popitem(last=False)
        return copy

    async def _read_private(
        self, executor: Connection | CallersTransaction, tenant_id: str
    ) -> _TenantCopy:
        """Read the tenant's reactions as a transaction sees them, which others may not."""
        return replace(await self._read(executor, tenant_id), is_private=True)

    async def _read(self, executor: Queryable | CallersTransaction, tenant_id: str) -> _TenantCopy:
        catalog = await load_catalog(executor, tenant_id)
        for reaction_id, fault in catalog.faults:
            self._faults.error(f"the stored form of reaction {reaction_id} is invalid: {fault}")
        matcher = Matcher(
            [MatchEntry(entry, entry.event_types, entry.condition) for entry in catalog.entries]
        )
        return _TenantCopy(catalog.version, matcher)


@asynccontextmanager
async def _meanwhile(work: Coroutine[Any, Any, T]) -> AsyncIterator[asyncio.Task[T]]:
    """Start work, and run the block concurrently; if the block fails, cancel the work."""
    task = asyncio.create_task(work)
    try:
        # Inside the try: if this is cancelled, the work must end too.
        await asyncio.sleep(0)
        yield task
    except BaseException:
        task.cancel()
        # The block's error is the one to raise; an error of the work is dropped.
        task.add_done_callback(_read)
        await asyncio.wait([task])
        raise


def _read(task: asyncio.Task[Any]) -> None:
    """Read the task's exception, so that the event loop does not report it as unread."""
    if not task.cancelled():
        task.exception()


def _trigger(
    tenant_id: str, row: NewTrigger, created_at: datetime, jobs: tuple[UUID, ...]
) -> Trigger:
    return Trigger(row.id, tenant_id, row.event_type, row.payload, created_at, jobs)

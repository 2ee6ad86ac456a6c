"""`engine.triggers`: read triggers and wait for their jobs."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from delivery.errors import InvalidInput, NotFound
from delivery.lifecycle import TERMINAL, trigger_state
from delivery.message.storage.payloads import redacted_payload
from delivery.models import Trigger, TriggerState, TriggerStatus
from delivery.service.checks import (
    check_listed,
    check_seconds,
    check_tenant,
    check_text,
)
from delivery.service.cursors import MAX_PAGE, check_limit, decode_cursor, page_of
from delivery.service.messages import find_trigger
from delivery.service.outage_tolerance import read_patiently
from delivery.store import jobs, triggers
from delivery.wording import counted, plain_number

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from uuid import UUID

    from delivery.message.storage.encryption import Cipher
    from delivery.models import Job, JobStatus, Page
    from delivery.service.finished_jobs import FinishedJobs
    from delivery.service.trigger_request import TriggerRequest
    from delivery.service.trigger_writer import TriggerWriter
    from delivery.service.wait_reasons import Delays
    from delivery.store.driver.connection import Pool

__all__ = ["Triggers"]

_FIRST_LOOK: Final = 0.05
_LAST_LOOK: Final = 0.5


class Triggers:
    """Verbs for triggers. Each call is scoped by `tenant_id`."""

    def __init__(
        self,
        pool: Pool,
        writer: Callable[[], TriggerWriter],
        finished: FinishedJobs,
        delays: Delays,
        cipher: Cipher,
    ) -> None:
        self._pool = pool
        self._cipher = cipher
        self._writer = writer
        self._finished = finished
        self._delays = delays

    async def create_many(
        self, requests: Iterable[TriggerRequest], *, tenant_id: str, connection: Any
    ) -> list[Trigger]:
        """Write triggers and their jobs atomically; see `Engine.trigger`."""
        return await self._writer().create_many(
            requests, tenant_id=tenant_id, connection=connection
        )

    async def get(self, trigger_id: UUID | str, *, tenant_id: str = "default") -> Trigger:
        """Return one trigger with the ids of its jobs; secrets in its payload are `***`.

        Args:
            trigger_id: Id of the trigger, or the `webhook-id` of a request of one of its jobs.
            tenant_id: Tenant to operate on.

        Raises:
            NotFound: If this tenant has no such trigger.
            MissingKey: If the key of an encrypted payload is missing.
        """
        return self._shown(await self._stored(trigger_id, tenant_id))

    async def _stored(self, trigger_id: UUID | str, tenant_id: str) -> Trigger:
        key = await find_trigger(self._pool, trigger_id, check_tenant(tenant_id))
        found = await triggers.get(self._pool, key, tenant_id)
        if found is None:
            message = f"there is no trigger {key} in tenant {tenant_id!r}"
            raise NotFound(message)
        return found

    async def list(
        self,
        *,
        tenant_id: str = "default",
        type: str | None = None,  # noqa: A002 - the field's name
        limit: int = 50,
        cursor: str | None = None,
    ) -> Page[Trigger]:
        """List triggers, newest first, without the ids of their jobs; payloads as in `get`."""
        found = await triggers.list_page(
            self._pool,
            tenant_id=check_tenant(tenant_id),
            after=decode_cursor(cursor),
            event_type=None if type is None else check_text("type", type),
            limit=check_limit(limit) + 1,
        )
        return page_of([self._shown(trigger) for trigger in found], limit)

    async def status(self, trigger_id: UUID | str, *, tenant_id: str = "default") -> TriggerStatus:
        """Return the combined state of the jobs of a trigger.

        Raises:
            NotFound: If this tenant has no such trigger.
        """
        trigger = await self._stored(trigger_id, tenant_id)
        return (await self.statuses([trigger], tenant_id=tenant_id))[0]

    async def statuses(
        self, of: Iterable[Trigger], *, tenant_id: str = "default"
    ) -> tuple[TriggerStatus, ...]:
        """Return the combined state of the jobs of each trigger, in one round trip.

        Raises:
            InvalidInput: If `of` is not a list of triggers.
        """
        check_tenant(tenant_id)
        asked = [_trigger_id(trigger) for trigger in check_listed(of, "of", "triggers")]
        counts = await triggers.statuses(self._pool, asked, tenant_id) if asked else {}
        return tuple(_status(trigger_id, counts[trigger_id]) for trigger_id in asked)

    async def wait(
        self,
        trigger_id: UUID | str,
        *,
        timeout: float | None = None,
        tenant_id: str = "default",
    ) -> tuple[Job, ...]:
        """Wait until all jobs of the trigger are finished, and return them.

        Args:
            trigger_id: Id of the trigger.
            timeout: Seconds to wait for all jobs. Default: no limit.
            tenant_id: Tenant of the trigger.

        Returns:
            The jobs in the order of `Trigger.jobs`; an empty tuple if no reaction matched.

        Raises:
            NotFound: If this tenant has no such trigger.
            InvalidInput: If the timeout is negative or not a number.
            JobTimeout: If a job is not finished in time. The error has the reason, the last error
                and the time of the next attempt.
        """
        check_seconds("timeout", timeout)
        trigger = await self._stored(trigger_id, tenant_id)
        try:
            async with asyncio.timeout(timeout):
                with self._finished.watched(*trigger.jobs) as finished:
                    await self._wait(trigger, finished)
        except TimeoutError:
            waited = plain_number(timeout or 0.0)
            looked = await self._delays.last_look(self._jobs_of(trigger))
            late = [job for job in looked or () if job.status not in TERMINAL]
            if looked is not None and not late:
                return looked
            number = len(trigger.jobs) if looked is None else len(late)
            of_all = f"{number} of {counted(len(trigger.jobs), 'job')}"
            subject = (
                f"trigger {trigger.id}: {of_all} {'was' if number == 1 else 'were'} not finished"
                f" within {waited} s"
            )
            raise await self._delays.error(
                subject, late[0] if late else None, trigger_id=trigger.id, unfinished=number
            ) from None
        return await read_patiently(lambda: self._jobs_of(trigger))

    async def _wait(self, trigger: Trigger, finished: asyncio.Event) -> None:
        pause = _FIRST_LOOK
        while True:
            finished.clear()
            counts = await read_patiently(
                lambda: triggers.statuses(self._pool, [trigger.id], trigger.tenant_id)
            )
            if _status(trigger.id, counts[trigger.id]).state is not TriggerState.PENDING:
                return
            try:
                async with asyncio.timeout(pause):
                    await finished.wait()
            except TimeoutError:
                pause = min(pause * 1.5, _LAST_LOOK)

    async def _jobs_of(self, trigger: Trigger) -> tuple[Job, ...]:
        """Return all jobs of a trigger, in its order."""
        found: tuple[Job, ...] = ()
        after = None
        while True:
            page = await jobs.list_page(
                self._pool,
                tenant_id=trigger.tenant_id,
                after=after,
                status=None,
                reaction_id=None,
                trigger_id=trigger.id,
                oldest_first=True,
                limit=MAX_PAGE,
            )
            found += tuple(page)
            if len(page) < MAX_PAGE:
                break
            after = page[-1].id
        places = {job_id: place for place, job_id in enumerate(trigger.jobs)}
        return tuple(sorted(found, key=lambda job: places.get(job.id, len(places))))

    def _shown(self, trigger: Trigger) -> Trigger:
        return replace(trigger, payload=redacted_payload(trigger.payload, self._cipher))


def _trigger_id(trigger: object) -> UUID:
    if not isinstance(trigger, Trigger):
        message = f"a trigger is of type {type(trigger).__name__}; give a delivery.Trigger"
        raise InvalidInput(message)
    return trigger.id


def _status(trigger_id: UUID, counts: Mapping[JobStatus, int]) -> TriggerStatus:
    return TriggerStatus(trigger_id, trigger_state(counts), sum(counts.values()), counts)

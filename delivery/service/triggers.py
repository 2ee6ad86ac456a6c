"""`engine.trigger`, `engine.trigger_many` and `engine.triggers`: recorded events."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from delivery.engine.fan_out import FanOutWriter, TriggerDraft
from delivery.errors import InvalidInput, NotFound
from delivery.lifecycle import TERMINAL, trigger_state
from delivery.message.request.payload import encode_payload
from delivery.message.storage.payloads import encrypt_payload, redacted_payload
from delivery.models import Trigger, TriggerState, TriggerStatus
from delivery.policy.matching import validate_event_type
from delivery.policy.operational_triggers import OWN_TYPES
from delivery.service.checks import (
    check_deadline,
    check_id,
    check_priority,
    check_run_at,
    check_seconds,
    check_tenant,
    check_text,
)
from delivery.service.cursors import MAX_PAGE, check_limit, decode_cursor, page_of
from delivery.service.missing_partitions import make_missing_partition
from delivery.service.outage_tolerance import read_patiently
from delivery.store import jobs, triggers
from delivery.store.driver.caller import CallerConnections
from delivery.store.driver.failures import CONNECTION_ERRORS
from delivery.wording import counted, plain_number

if TYPE_CHECKING:
    from datetime import datetime, timedelta
    from uuid import UUID

    from delivery.clock import Clock
    from delivery.message.storage.encryption import Cipher
    from delivery.models import Job, JobStatus, Page
    from delivery.service.finished_jobs import FinishedJobs
    from delivery.service.wait_reasons import Delays
    from delivery.settings import Settings
    from delivery.store.driver.connection import Pool

__all__ = ["TriggerRequest", "Triggers"]

_FIRST_LOOK: Final = 0.05
_LAST_LOOK: Final = 0.5


@dataclass(frozen=True, slots=True)
class TriggerRequest:
    """One trigger for `trigger_many`; the fields are the arguments of `trigger`."""

    type: str
    payload: Any
    user_id: str | None = None
    run_at: datetime | None = None
    delay: float | timedelta | None = None
    priority: int | None = None
    deadline: datetime | None = None


class Triggers:
    """Write and read triggers."""

    def __init__(
        self,
        pool: Pool,
        clock: Clock,
        fan_out: FanOutWriter,
        finished: FinishedJobs,
        delays: Delays,
        cipher: Cipher,
        settings: Settings,
    ) -> None:
        self._pool = pool
        self._cipher = cipher
        self._clock = clock
        self._fan_out = fan_out
        self._callers = CallerConnections(pool)
        self._finished = finished
        self._delays = delays
        self._limits = settings.limits
        self._days_ahead = settings.partitions.days_ahead

    async def create_many(
        self, requests: Iterable[TriggerRequest], *, tenant_id: str, connection: Any
    ) -> list[Trigger]:
        """Write all the triggers and their jobs, or none; see `Engine.trigger`."""
        check_tenant(tenant_id)
        drafts = [
            self._draft(_checked(request))
            for request in _listed(requests, "requests", "delivery.TriggerRequest")
        ]
        callers = None if connection is None else await self._callers.transaction(connection)
        if not drafts:
            return []
        if callers is not None:
            try:
                return await self._fan_out.write_for_caller(tenant_id, drafts, callers)
            except CONNECTION_ERRORS as error:
                await make_missing_partition(self._pool, self._days_ahead, error, is_own=False)
                raise
        try:
            return await self._fan_out.write(tenant_id, drafts)
        except CONNECTION_ERRORS as error:
            await make_missing_partition(self._pool, self._days_ahead, error, is_own=True)
        return await self._fan_out.write(tenant_id, drafts)

    async def get(self, trigger_id: UUID | str, *, tenant_id: str = "default") -> Trigger:
        """One trigger with the ids of its jobs; what looks secret in its payload is `***`.

        Raises:
            NotFound: if there is none with this id in this tenant.
            MissingKey: if its payload was encrypted with a key that is not here.
        """
        return self._shown(await self._stored(trigger_id, tenant_id))

    async def _stored(self, trigger_id: UUID | str, tenant_id: str) -> Trigger:
        key = check_id("trigger id", trigger_id)
        found = await triggers.get(self._pool, key, check_tenant(tenant_id))
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
        """Triggers, newest first, without the ids of their jobs; payloads as `get` shows them."""
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
            NotFound: if there is no trigger with this id in this tenant.
        """
        trigger = await self._stored(trigger_id, tenant_id)
        return (await self.statuses([trigger], tenant_id=tenant_id))[0]

    async def statuses(
        self, of: Iterable[Trigger], *, tenant_id: str = "default"
    ) -> tuple[TriggerStatus, ...]:
        """Return the combined state of the jobs of each trigger, in one round trip.

        Raises:
            InvalidInput: `of` is no list of triggers.
        """
        check_tenant(tenant_id)
        asked = [_trigger_id(trigger) for trigger in _listed(of, "of", "triggers")]
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
            trigger_id: Which trigger.
            timeout: Seconds to wait for all of them; None: as long as it takes.
            tenant_id: The tenant that it belongs to.

        Returns:
            The jobs in the order of `Trigger.jobs`; an empty tuple if no reaction matched.

        Raises:
            NotFound: if there is no such trigger in this tenant.
            InvalidInput: if the timeout is negative or not a number.
            JobTimeout: if a job is not finished in time; the error says why, and has the last error
                and the time of the next attempt as attributes.
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

    def _draft(self, request: TriggerRequest) -> TriggerDraft:
        timed = (
            request.run_at is not None or request.delay is not None or request.deadline is not None
        )
        run_at = deadline = None
        if timed:
            now = self._clock.now_datetime()
            run_at = check_run_at(request.run_at, request.delay, now)
            deadline = check_deadline(request.deadline, now)
        payload = encode_payload(request.payload, self._limits.max_payload_bytes)
        event_type = validate_event_type(request.type, self._limits.max_event_type_length)
        if event_type in OWN_TYPES:
            message = f"{event_type} is reserved for the engine; choose another type"
            raise InvalidInput(message)
        return TriggerDraft(
            type=event_type,
            payload=payload,
            stored_payload=encrypt_payload(payload, request.payload, self._cipher),
            user_id=None if request.user_id is None else check_text("user_id", request.user_id),
            run_at=run_at,
            priority=None if request.priority is None else check_priority(request.priority),
            deadline=deadline,
        )


def _listed(given: object, name: str, items: str) -> Iterable[object]:
    if isinstance(given, Mapping | str | bytes) or not isinstance(given, Iterable):
        message = f"{name} is of type {type(given).__name__}; give a list of {items}"
        raise InvalidInput(message)
    return given


def _trigger_id(trigger: object) -> UUID:
    if not isinstance(trigger, Trigger):
        message = f"a trigger is of type {type(trigger).__name__}; give a delivery.Trigger"
        raise InvalidInput(message)
    return trigger.id


def _status(trigger_id: UUID, counts: Mapping[JobStatus, int]) -> TriggerStatus:
    return TriggerStatus(trigger_id, trigger_state(counts), sum(counts.values()), counts)


def _checked(request: object) -> TriggerRequest:
    if not isinstance(request, TriggerRequest):
        message = (
            f"a trigger to be written is a {type(request).__name__};"
            " give delivery.TriggerRequest(type, payload)"
        )
        raise InvalidInput(message)
    return request

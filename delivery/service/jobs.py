"""`engine.jobs`: direct jobs, reading jobs, and waiting for them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID, uuid5

from delivery.errors import InvalidInput, NotFound
from delivery.lifecycle import TERMINAL
from delivery.message.request.payload import encode_payload
from delivery.message.request.url import parse_url
from delivery.message.storage.calls import encode_params
from delivery.message.storage.payloads import encrypt_payload
from delivery.message.template.filling import plain_url
from delivery.models import JobStatus
from delivery.service.calls import CallOptions, build_params
from delivery.service.checks import (
    check_deadline,
    check_flag,
    check_id,
    check_priority,
    check_run_at,
    check_seconds,
    check_tenant,
    check_text,
    check_word,
)
from delivery.service.cursors import check_limit, decode_cursor, page_of
from delivery.service.missing_partitions import making_partitions
from delivery.service.outage_tolerance import read_patiently
from delivery.service.reactions import DEFAULT_PRIORITY
from delivery.store import jobs, triggers
from delivery.store.driver.caller import CallerConnections
from delivery.wording import plain_number

if TYPE_CHECKING:
    from datetime import datetime, timedelta
    from typing import Unpack

    from delivery.clock import Clock, IdFactory
    from delivery.message.storage.encryption import Cipher
    from delivery.models import Job, Page
    from delivery.queue.wakeups import Waker
    from delivery.service.finished_jobs import FinishedJobs
    from delivery.service.wait_reasons import Delays
    from delivery.settings import Settings
    from delivery.store.driver.connection import Pool

__all__ = ["Jobs"]

_LANES: Final = UUID("5b3df1a0-8d1f-4a39-9c57-3f0c8e4a7d11")
"""Namespace of the lanes of direct jobs."""
_FIRST_LOOK: Final = 0.05
_LAST_LOOK: Final = 0.5


class Jobs:
    """Make, read and wait for jobs. Every call is scoped by `tenant_id`."""

    def __init__(
        self,
        pool: Pool,
        clock: Clock,
        ids: IdFactory,
        waker: Waker,
        finished: FinishedJobs,
        delays: Delays,
        cipher: Cipher,
        settings: Settings,
    ) -> None:
        self._pool = pool
        self._clock = clock
        self._ids = ids
        self._waker = waker
        self._finished = finished
        self._delays = delays
        self._cipher = cipher
        self._settings = settings
        self._callers = CallerConnections(pool)

    @making_partitions
    async def create(
        self,
        *,
        payload: Any = None,
        priority: int = DEFAULT_PRIORITY,
        run_at: datetime | None = None,
        delay: float | timedelta | None = None,
        deadline: datetime | None = None,
        user_id: str | None = None,
        tenant_id: str = "default",
        connection: Any = None,
        **call: Unpack[CallOptions],
    ) -> Job:
        """Make a direct job: a call without a stored reaction.

        Direct jobs of one tenant to one origin (scheme, host and port) share a lane.

        Args:
            payload: A JSON value, or JSON text as bytes, which is kept byte for byte.
            priority: Lower first within the lane; 0 to 32,767.
            run_at: When the call is to be made first; by default now.
            delay: The same as seconds from now.
            deadline: When it is too late for another attempt.
            user_id: For the caller's own use.
            tenant_id: Whose it is.
            connection: The caller's own connection or session with an open transaction, to write
                on.
            call: The HTTP call; see `CallOptions`. `url` is needed.

        Raises:
            InvalidInput: if a value cannot be used; nothing is written.
            NoTransaction: if `connection` has no open transaction.
            UnusableConnection: if `connection` is closed, failed or leads to another database.
        """
        check_tenant(tenant_id)
        _refuse_lane_limits(call)
        params = build_params(
            call, self._settings.retry.policy(), self._settings.http, verb=Jobs.create
        )
        endpoint, _ = parse_url(plain_url(params.url))
        origin = f"{endpoint.scheme}://{endpoint.host}:{endpoint.port}"
        lane = uuid5(_LANES, f"{tenant_id}\n{origin}")
        now = self._clock.now_datetime()
        callers = None if connection is None else await self._callers.transaction(connection)
        key = (lane, check_priority(priority))
        job_id = self._ids.new()
        stored = encode_params(params, self._cipher)
        due = check_run_at(run_at, delay, now)
        latest = check_deadline(deadline, now)
        user = None if user_id is None else check_text("user_id", user_id)
        body = encode_payload(payload, self._settings.limits.max_payload_bytes)
        created_at = await triggers.insert_direct_job(
            self._pool if callers is None else callers,
            job_id=job_id,
            lane=lane,
            params=stored.params,
            credentials=stored.credentials,
            payload=encrypt_payload(body, payload, self._cipher),
            priority=priority,
            run_at=due,
            tenant_id=tenant_id,
            max_attempts=params.retry.max_attempts,
            deadline=latest,
            user_id=user,
        )
        if callers is None:
            self._waker.announce({key})
        else:
            self._waker.announce_after(callers.connection, {key})
        return jobs.new_direct_job(
            job_id,
            tenant_id,
            user_id=user,
            priority=priority,
            max_attempts=params.retry.max_attempts,
            run_at=due,
            deadline=latest,
            created_at=created_at,
        )

    async def get(self, job_id: UUID | str, *, tenant_id: str = "default") -> Job:
        """One job.

        Raises:
            NotFound: if there is none with this id in this tenant.
        """
        key = check_id("job id", job_id)
        found = await jobs.get(self._pool, key, check_tenant(tenant_id))
        if found is None:
            raise await self._not_found(key, tenant_id)
        return found

    async def _not_found(self, job_id: UUID, tenant_id: str) -> NotFound:
        message = f"there is no job {job_id} in tenant {tenant_id!r}"
        if await triggers.get(self._pool, job_id, tenant_id) is not None:
            message += "; it is the id of a trigger: use triggers.wait or triggers.get"
        return NotFound(message)

    async def list(
        self,
        *,
        tenant_id: str = "default",
        status: str | None = None,
        trigger_id: UUID | str | None = None,
        reaction_id: UUID | str | None = None,
        oldest_first: bool = False,
        limit: int = 50,
        cursor: str | None = None,
    ) -> Page[Job]:
        """Jobs by when they were made, newest first unless `oldest_first`."""
        found = await jobs.list_page(
            self._pool,
            tenant_id=check_tenant(tenant_id),
            after=decode_cursor(cursor),
            status=check_word("status", status, JobStatus),
            trigger_id=None if trigger_id is None else check_id("trigger id", trigger_id),
            reaction_id=None if reaction_id is None else check_id("reaction id", reaction_id),
            oldest_first=check_flag("oldest_first", oldest_first),
            limit=check_limit(limit) + 1,
        )
        return page_of(found, limit)

    async def wait(
        self,
        job_id: UUID | str,
        *,
        timeout: float | None = None,
        tenant_id: str = "default",
    ) -> Job:
        """Wait until the job is finished, and return it. It never is unless a worker runs.

        The wait goes on over an outage of the database.

        Args:
            job_id: Which job.
            timeout: Seconds to wait; None: as long as it takes.
            tenant_id: Whose it is.

        Raises:
            NotFound: if there is no such job in this tenant.
            InvalidInput: if the timeout is negative or no number.
            JobTimeout: if it is not finished in time; the error says why, and has the last error
                and the time of the next attempt as attributes.
        """
        key = check_id("job id", job_id)
        check_seconds("timeout", timeout)
        try:
            async with asyncio.timeout(timeout):
                with self._finished.watched(key) as finished:
                    return await self._wait(key, tenant_id, finished)
        except TimeoutError:
            waited = plain_number(timeout or 0.0)
            job = await self._delays.last_look(self.get(key, tenant_id=tenant_id))
            if job is not None and job.status in TERMINAL:
                return job
            subject = f"job {key} was not finished within {waited} s"
            raise await self._delays.error(subject, job) from None

    async def _wait(self, job_id: UUID, tenant_id: str, finished: asyncio.Event) -> Job:
        pause = _FIRST_LOOK
        while True:
            job = await read_patiently(lambda: self.get(job_id, tenant_id=tenant_id))
            if job.status in TERMINAL:
                return job
            try:
                async with asyncio.timeout(pause):
                    await finished.wait()
            except TimeoutError:
                pause = min(pause * 1.5, _LAST_LOOK)


def _refuse_lane_limits(call: CallOptions) -> None:
    for name in ("rate_limit", "ordered"):
        if call.get(name):
            message = f"{name} is for reactions; a direct job shares its lane with unlike calls"
            raise InvalidInput(message)

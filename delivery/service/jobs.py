"""`engine.jobs`: create direct jobs, read jobs, wait for jobs."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from delivery.errors import NotFound
from delivery.lifecycle import TERMINAL
from delivery.models import JobStatus
from delivery.service.checks import (
    DEFAULT_PRIORITY,
    check_flag,
    check_id,
    check_message_id,
    check_seconds,
    check_tenant,
    check_word,
)
from delivery.service.cursors import check_limit, decode_cursor, page_of
from delivery.service.messages import find_job
from delivery.service.outage_tolerance import read_patiently
from delivery.store import jobs, triggers
from delivery.wording import plain_number

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime, timedelta
    from typing import Unpack
    from uuid import UUID

    from delivery.models import Job, Page
    from delivery.service.calls import CallOptions
    from delivery.service.direct_jobs import DirectJobs
    from delivery.service.finished_jobs import FinishedJobs
    from delivery.service.wait_reasons import Delays
    from delivery.store.driver.connection import Pool

__all__ = ["Jobs"]

_FIRST_LOOK: Final = 0.05
_LAST_LOOK: Final = 0.5


class Jobs:
    """Verbs for jobs. Each call is scoped by `tenant_id`."""

    def __init__(
        self,
        pool: Pool,
        direct: Callable[[], DirectJobs],
        finished: FinishedJobs,
        delays: Delays,
    ) -> None:
        self._pool = pool
        self._direct = direct
        self._finished = finished
        self._delays = delays

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
        """Create a direct job: a call without a reaction.

        Direct jobs of one tenant to one origin (scheme, host and port) share a lane.

        Args:
            payload: JSON value, or JSON text as bytes, which is stored byte for byte.
            priority: Priority within the lane, from 0 to 32,767; lower first.
            run_at: Time of the first attempt. Default: immediately.
            delay: Alternative to `run_at`, as seconds from now.
            deadline: Time after which no attempt starts.
            user_id: User of the job, for filters of the caller.
            tenant_id: Tenant of the job.
            connection: Connection or session of the caller, with an open transaction.
            call: Options of the HTTP call; see `CallOptions`. `url` is required.

        Raises:
            InvalidInput: If a value is invalid; nothing is written.
            NoTransaction: If `connection` has no open transaction.
            UnusableConnection: If `connection` is closed, failed or connected to another database.
        """
        return await self._direct().create(
            call,
            Jobs.create,
            payload=payload,
            priority=priority,
            run_at=run_at,
            delay=delay,
            deadline=deadline,
            user_id=user_id,
            tenant_id=tenant_id,
            connection=connection,
        )

    async def get(self, job_id: UUID | str, *, tenant_id: str = "default") -> Job:
        """Return one job.

        Args:
            job_id: Id of the job, or the `webhook-id` of its requests. If redeliveries sent the
                message again, the newest of these jobs is returned.
            tenant_id: Tenant to operate on.

        Raises:
            NotFound: If this tenant has no such job.
        """
        key = await find_job(self._pool, job_id, check_tenant(tenant_id))
        found = await jobs.get(self._pool, key, tenant_id)
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
        message_id: str | None = None,
        oldest_first: bool = False,
        limit: int = 50,
        cursor: str | None = None,
    ) -> Page[Job]:
        """List jobs by creation time, newest first unless `oldest_first`.

        Args:
            tenant_id: Tenant to operate on.
            status: Status of the jobs.
            trigger_id: Trigger of the jobs.
            reaction_id: Reaction of the jobs.
            message_id: The `webhook-id` of their requests.
            oldest_first: True for oldest first.
            limit: Maximum number of jobs, up to 200.
            cursor: Cursor of the previous page.

        Raises:
            InvalidInput: A value is invalid.
        """
        select = (
            jobs.list_page
            if message_id is None
            else partial(jobs.list_of_message, message_id=check_message_id(message_id))
        )
        found = await select(
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
        """Wait until the job is finished, and return it. This requires a running worker.

        The wait continues after an outage of the database.

        Args:
            job_id: Id of the job, or the `webhook-id` of its requests.
            timeout: Seconds to wait. Default: no limit.
            tenant_id: Tenant of the job.

        Raises:
            NotFound: If this tenant has no such job.
            InvalidInput: If the timeout is negative or not a number.
            JobTimeout: If the job is not finished in time. The error has the reason, the last
                error and the time of the next attempt.
        """
        check_seconds("timeout", timeout)
        key = await find_job(self._pool, job_id, check_tenant(tenant_id))
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

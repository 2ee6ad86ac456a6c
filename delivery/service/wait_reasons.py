"""Reasons why an awaited job is not finished."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final, TypeVar

from delivery.errors import JobTimeout
from delivery.models import CircuitState, JobStatus
from delivery.store import workers
from delivery.store.driver.failures import CONNECTION_ERRORS
from delivery.wording import counted, plain_number

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from datetime import datetime
    from uuid import UUID

    from delivery.clock import Clock
    from delivery.models import Job, ReactionHealth
    from delivery.settings import Settings
    from delivery.store.driver.connection import Pool

__all__ = ["Delays", "explain_delay", "last_error"]

T = TypeVar("T")

_PATIENCE: Final = 2.0
"""Timeout in seconds for reading the reason, after the end of the wait."""
_FAR: Final = 1.0
"""Minimum distance in seconds of a time in the future."""


class Delays:
    """Reader of the reasons why jobs are not finished in time."""

    def __init__(self, pool: Pool, clock: Clock, settings: Settings) -> None:
        self._pool = pool
        self._clock = clock
        self._dead_after = settings.worker.dead_after

    async def living_workers(self) -> int:
        """Count the running workers of all processes."""
        return await workers.count_living(self._pool, self._dead_after)

    async def last_look(self, reading: Coroutine[Any, Any, T]) -> T | None:
        """Return the result of a final read, or None if the database does not respond."""
        try:
            async with asyncio.timeout(_PATIENCE):
                return await reading
        except CONNECTION_ERRORS:
            return None

    async def _health(self, job: Job) -> ReactionHealth | None:
        if job.reaction_id is None:
            return None
        # Imported here, because only failed waits need it.
        from delivery.store import reactions  # noqa: PLC0415

        stored = await reactions.get(self._pool, job.reaction_id, job.tenant_id)
        return None if stored is None else stored.shown.health

    async def error(
        self, subject: str, job: Job | None, *, trigger_id: UUID | None = None, unfinished: int = 1
    ) -> JobTimeout:
        """Return the error for a wait that has ended.

        Args:
            subject: Description of the unfinished object and the timeout.
            job: Awaited job, or the first of several; None if it was not read.
            trigger_id: Awaited trigger.
            unfinished: Number of unfinished jobs.
        """
        if job is None:
            return JobTimeout(subject, trigger_id=trigger_id, unfinished=unfinished)
        living = await self.last_look(self.living_workers())
        health = None if living is None else await self.last_look(self._health(job))
        reason = explain_delay(job, living, health, self._clock.now_datetime())
        return JobTimeout(
            f"{subject}: {reason}",
            trigger_id=trigger_id,
            unfinished=unfinished,
            job_id=job.id,
            status=job.status.value,
            attempt=job.attempt,
            max_attempts=job.max_attempts,
            failure_kind=job.failure_kind and job.failure_kind.value,
            status_code=job.status_code,
            last_error=last_error(job),
            next_attempt_at=None if job.status is JobStatus.RUNNING else job.run_at,
            living_workers=living,
        )


def explain_delay(
    job: Job, living: int | None, health: ReactionHealth | None, now: datetime
) -> str:
    """Return the reason why a job is not finished, and the time of its next attempt.

    Args:
        job: Unfinished job.
        living: Number of running workers; None if unknown.
        health: Health of its reaction, if any.
        now: Current time.
    """
    parts = []
    if living == 0:
        parts.append("no worker is running; start one with `delivery worker`")
    if job.status is JobStatus.RUNNING:
        parts.append(f"attempt {job.attempt} of {job.max_attempts} is under way")
    error = last_error(job)
    if error is not None:
        failed = job.attempt - (1 if job.status is JobStatus.RUNNING else 0)
        of_all = f"attempt {failed} of {job.max_attempts} failed" if failed else "the last error"
        parts.append(f"{of_all}: {error}")
    if job.status is not JobStatus.RUNNING:
        parts.append(_next_attempt(job, living, health, now))
    return "; ".join(part for part in parts if part)


def last_error(job: Job) -> str | None:
    """Return the reason of the last failure, if any: `HTTP 503`, or the error."""
    code = None if job.status_code is None else f"HTTP {job.status_code}"
    if job.error is None:
        return code or job.failure_kind
    return job.error if code is None else f"{code}, {job.error}"


def _next_attempt(
    job: Job, living: int | None, health: ReactionHealth | None, now: datetime
) -> str:
    name = "the next attempt" if job.attempt else "the first attempt"
    if (job.run_at - now).total_seconds() > _FAR:
        return f"{name} is due at {_when(job.run_at, now)}"
    if health is not None and health.paused_until is not None and health.paused_until > now:
        return f"its reaction is paused until {_when(health.paused_until, now)}"
    if health is not None and health.circuit is not CircuitState.CLOSED:
        failures = counted(health.failures, "call")
        return f"the circuit of its reaction is {health.circuit.value} after {failures} that failed"
    return "" if living == 0 else f"{name} is due and waits for a worker"


def _when(time: datetime, now: datetime) -> str:
    seconds = plain_number(round((time - now).total_seconds()))
    return f"{time:%Y-%m-%d %H:%M:%S} UTC, in {seconds} s"

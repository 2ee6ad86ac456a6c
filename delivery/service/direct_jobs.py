"""Creation of direct jobs, which have no reaction."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from uuid import UUID, uuid5

from delivery.errors import InvalidInput
from delivery.message.request.payload import encode_payload
from delivery.message.request.url import parse_url
from delivery.message.storage.calls import encode_params
from delivery.message.storage.payloads import encrypt_payload
from delivery.message.template.filling import plain_url
from delivery.service.calls import CallOptions, build_params
from delivery.service.checks import (
    check_deadline,
    check_priority,
    check_run_at,
    check_tenant,
    check_text,
)
from delivery.service.missing_partitions import making_partitions
from delivery.store import jobs
from delivery.store.arrivals import insert_direct_job
from delivery.store.driver.caller import CallerConnections

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime, timedelta

    from delivery.clock import Clock, IdFactory
    from delivery.message.storage.encryption import Cipher
    from delivery.models import Job
    from delivery.queue.wakeups import Waker
    from delivery.settings import Settings
    from delivery.store.driver.connection import Pool

__all__ = ["DirectJobs"]

_LANES: Final = UUID("5b3df1a0-8d1f-4a39-9c57-3f0c8e4a7d11")
"""Namespace of the lanes of direct jobs."""


class DirectJobs:
    """Writer of direct jobs, separate from `Jobs` so that readers do not import it."""

    def __init__(
        self,
        pool: Pool,
        clock: Clock,
        ids: IdFactory,
        waker: Waker,
        cipher: Cipher,
        settings: Settings,
    ) -> None:
        self._pool = pool
        self._clock = clock
        self._ids = ids
        self._waker = waker
        self._cipher = cipher
        self._settings = settings
        self._callers = CallerConnections(pool)

    @making_partitions
    async def create(
        self,
        call: CallOptions,
        verb: Callable[..., object],
        *,
        payload: Any,
        priority: int,
        run_at: datetime | None,
        delay: float | timedelta | None,
        deadline: datetime | None,
        user_id: str | None,
        tenant_id: str,
        connection: Any,
    ) -> Job:
        """Check and write a direct job; see `Jobs.create`, the `verb`."""
        check_tenant(tenant_id)
        _refuse_lane_limits(call)
        params = build_params(call, self._settings.retry.policy(), self._settings.http, verb=verb)
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
        created_at = await insert_direct_job(
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


def _refuse_lane_limits(call: CallOptions) -> None:
    for name in ("rate_limit", "ordered"):
        if call.get(name):
            message = f"{name} is for reactions only; a direct job shares its lane with other calls"
            raise InvalidInput(message)

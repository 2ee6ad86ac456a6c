"""Implementation of `engine.trigger` and `engine.trigger_many`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from delivery.engine.fan_out import TriggerDraft
from delivery.errors import InvalidInput
from delivery.message.request.payload import encode_payload
from delivery.message.storage.payloads import encrypt_payload
from delivery.policy.matching import validate_event_type
from delivery.policy.operational_triggers import OWN_TYPES
from delivery.service.checks import (
    check_deadline,
    check_listed,
    check_priority,
    check_run_at,
    check_tenant,
    check_text,
)
from delivery.service.missing_partitions import make_missing_partition
from delivery.service.trigger_request import TriggerRequest
from delivery.store.driver.caller import CallerConnections
from delivery.store.driver.failures import CONNECTION_ERRORS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from delivery.clock import Clock
    from delivery.engine.fan_out import FanOutWriter
    from delivery.message.storage.encryption import Cipher
    from delivery.models import Trigger
    from delivery.settings import Settings
    from delivery.store.driver.connection import Pool

__all__ = ["TriggerWriter"]


class TriggerWriter:
    """Writer of triggers, separate from `Triggers` so that readers do not import it."""

    def __init__(
        self,
        pool: Pool,
        clock: Clock,
        fan_out: FanOutWriter,
        cipher: Cipher,
        settings: Settings,
    ) -> None:
        self._pool = pool
        self._clock = clock
        self._fan_out = fan_out
        self._cipher = cipher
        self._callers = CallerConnections(pool)
        self._limits = settings.limits
        self._days_ahead = settings.partitions.days_ahead

    async def create_many(
        self, requests: Iterable[TriggerRequest], *, tenant_id: str, connection: Any
    ) -> list[Trigger]:
        """Write triggers and their jobs atomically; see `Engine.trigger`."""
        check_tenant(tenant_id)
        drafts = [
            self._draft(_checked(request))
            for request in check_listed(requests, "requests", "delivery.TriggerRequest")
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


def _checked(request: object) -> TriggerRequest:
    if not isinstance(request, TriggerRequest):
        message = (
            f"a trigger to be written is a {type(request).__name__};"
            " give delivery.TriggerRequest(type, payload)"
        )
        raise InvalidInput(message)
    return request

"""The engine's own triggers, raised in the transaction of the change that they announce."""

from __future__ import annotations

import logging
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING

from delivery.engine.events import ReactionHealthChanged
from delivery.engine.fan_out import FanOutWriter, TriggerDraft
from delivery.models import EngineEventType
from delivery.policy.operational_triggers import OWN_TYPES, exhausted_payload, reaction_payload
from delivery.store import endpoint_health, reactions
from delivery.store.driver.transaction import after_commit

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from uuid import UUID

    from delivery.clock import IdFactory
    from delivery.engine.events import EventBus
    from delivery.policy.endpoint_health import Health
    from delivery.queue.wakeups import Waker
    from delivery.store.driver.connection import Connection, Pool
    from delivery.store.endpoint_health import LockedHealth

__all__ = ["OperationalTriggers"]

logger = logging.getLogger(__name__)


class OperationalTriggers:
    """Writer of triggers about reactions and jobs; see `delivery.policy.operational_triggers`.

    It raises the errors of the database. `Announcements` protects the surrounding work from them.
    """

    def __init__(self, pool: Pool, ids: IdFactory, waker: Waker, events: EventBus) -> None:
        self._events = events
        self._fan_out = FanOutWriter(pool, ids, waker)

    async def raise_for_reaction(
        self,
        connection: Connection,
        own_type: EngineEventType,
        reaction_id: UUID,
        locked: LockedHealth,
        health: Health,
        reason: str | None = None,
    ) -> None:
        """Raise a trigger about a reaction."""
        payload = reaction_payload(own_type, reaction_id, locked.name, reason, health)
        await self._fan_out.write_within(locked.tenant_id, [_draft(own_type, payload)], connection)
        event = ReactionHealthChanged(
            reaction_id, locked.tenant_id, locked.name, own_type, health.failures
        )
        after_commit(connection, partial(self._events.emit, event))

    async def disable(self, connection: Connection, reasons: Mapping[UUID, str]) -> None:
        """Disable the enabled ones among these reactions, and raise a trigger for each."""
        disabled = await reactions.disable(connection, dict(reasons))
        if not disabled:
            return
        locked = await endpoint_health.lock(connection, dict.fromkeys(disabled))
        for reaction_id, each in locked.items():
            logger.warning(
                "reaction %s (%s) is disabled: %s", reaction_id, each.name, reasons[reaction_id]
            )
            await self.raise_for_reaction(
                connection,
                EngineEventType.REACTION_DISABLED,
                reaction_id,
                each,
                each.health,
                reasons[reaction_id],
            )

    async def raise_for_exhausted(self, connection: Connection, job_ids: Sequence[UUID]) -> None:
        """Raise a trigger for each job, except those of the engine's own triggers."""
        drafts: dict[str, list[TriggerDraft]] = {}
        for described in await endpoint_health.describe_exhausted(connection, job_ids, OWN_TYPES):
            drafts.setdefault(described.tenant_id, []).append(
                _draft(EngineEventType.JOB_EXHAUSTED, exhausted_payload(asdict(described)))
            )
        for tenant_id, of_tenant in drafts.items():
            await self._fan_out.write_within(tenant_id, of_tenant, connection)


def _draft(own_type: EngineEventType, payload: bytes) -> TriggerDraft:
    return TriggerDraft(own_type.value, payload, None, None, None, None, is_own=True)

"""Raises the engine's own triggers, in the transaction of what they tell of."""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING

from delivery.engine.events import ReactionHealthChanged
from delivery.engine.fan_out import FanOutWriter, TriggerDraft
from delivery.models import OwnType
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

__all__ = ["Announcer"]

logger = logging.getLogger(__name__)


class Announcer:
    """Writes triggers about reactions and jobs; see `delivery.policy.operational_triggers`.

    It raises the errors of the database. `Announcements` keeps them from failing the work around
    it.
    """

    def __init__(self, pool: Pool, ids: IdFactory, waker: Waker, events: EventBus) -> None:
        self._events = events
        self._fan_out = FanOutWriter(pool, ids, waker)

    async def tell_of_reaction(
        self,
        connection: Connection,
        told: OwnType,
        reaction_id: UUID,
        stands: LockedHealth,
        now_stands: Health,
        reason: str | None = None,
    ) -> None:
        """Raise a trigger about a reaction."""
        payload = reaction_payload(told, reaction_id, stands.name, reason, now_stands)
        await self._fan_out.write_within(stands.tenant_id, [_draft(told, payload)], connection)
        event = ReactionHealthChanged(
            reaction_id, stands.tenant_id, stands.name, told, now_stands.failures
        )
        after_commit(connection, partial(self._events.emit, event))

    async def disable(self, connection: Connection, reasons: Mapping[UUID, str]) -> None:
        """Disable the enabled ones among these reactions, and raise a trigger for each."""
        disabled = await reactions.disable(connection, dict(reasons))
        if not disabled:
            return
        locked = await endpoint_health.lock(connection, dict.fromkeys(disabled))
        for reaction_id, stands in locked.items():
            logger.warning(
                "reaction %s (%s) is disabled: %s", reaction_id, stands.name, reasons[reaction_id]
            )
            await self.tell_of_reaction(
                connection,
                OwnType.REACTION_DISABLED,
                reaction_id,
                stands,
                stands.health,
                reasons[reaction_id],
            )

    async def tell_of_exhausted(self, connection: Connection, job_ids: Sequence[UUID]) -> None:
        """Raise a trigger for each job, except those of the engine's own triggers."""
        drafts: dict[str, list[TriggerDraft]] = {}
        for described in await endpoint_health.describe_exhausted(connection, job_ids, OWN_TYPES):
            drafts.setdefault(described["tenant_id"], []).append(
                _draft(OwnType.JOB_EXHAUSTED, exhausted_payload(dict(described)))
            )
        for tenant_id, of_tenant in drafts.items():
            await self._fan_out.write_within(tenant_id, of_tenant, connection)


def _draft(told: OwnType, payload: bytes) -> TriggerDraft:
    return TriggerDraft(told.value, payload, None, None, None, None, is_own=True)

"""Raises the engine's own triggers, in the transaction of what they tell of."""

from __future__ import annotations

import logging
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from delivery.engine.fan_out import FanOutWriter, TriggerDraft
from delivery.engine.logged_once import LoggedOnce
from delivery.policy.own_triggers import OWN_TYPES, OwnType, exhausted_payload, reaction_payload
from delivery.store import health, reactions
from delivery.store.failures import is_passing

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence
    from uuid import UUID

    from delivery.clock import IdFactory
    from delivery.engine.wake import Waker
    from delivery.policy.health import Health
    from delivery.store.connection import Connection, Pool
    from delivery.store.health import LockedHealth

__all__ = ["Announcer"]

logger = logging.getLogger(__name__)


class Announcer:
    """Writes triggers that tell of reactions and jobs; see `delivery.policy.own_triggers`.

    A trigger that cannot be written, because of what is stored or where it is to be stored, never
    fails the transaction that it is part of: it is left out, and logged as an error. An error that
    passes, such as a lost connection or a deadlock, is raised: the whole transaction is then
    repeated.
    """

    def __init__(self, pool: Pool, ids: IdFactory, waker: Waker) -> None:
        self._fan_out = FanOutWriter(pool, ids, waker)
        self._failures = LoggedOnce(logger)

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
        try:
            payload = reaction_payload(told, reaction_id, stands.name, reason, now_stands)
        except (OverflowError, TypeError, ValueError) as error:
            # A time that no calendar has, for instance.
            self._failures.error(f"{told} of reaction {reaction_id} cannot be written: {error}")
            return
        await self._write(connection, stands.tenant_id, [_draft(told, payload)])

    async def disable(self, connection: Connection, reasons: Mapping[UUID, str]) -> None:
        """Disable the enabled ones among these reactions, and raise a trigger for each."""
        disabled = await reactions.disable(connection, dict(reasons))
        if not disabled:
            return
        for reaction_id, stands in (await health.lock(connection, dict.fromkeys(disabled))).items():
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
        """Raise a trigger for each job, but for those that were themselves to tell of something."""
        drafts: dict[str, list[TriggerDraft]] = {}
        async with self._apart(connection, f"{OwnType.JOB_EXHAUSTED} cannot be raised"):
            for described in await health.describe_exhausted(connection, job_ids, OWN_TYPES):
                drafts.setdefault(described["tenant_id"], []).append(
                    _draft(OwnType.JOB_EXHAUSTED, exhausted_payload(dict(described)))
                )
        for tenant_id, of_tenant in drafts.items():
            await self._write(connection, tenant_id, of_tenant)

    async def _write(
        self, connection: Connection, tenant_id: str, drafts: Sequence[TriggerDraft]
    ) -> None:
        types = ", ".join(sorted({draft.type for draft in drafts}))
        async with self._apart(connection, f"{types} cannot be raised in tenant {tenant_id!r}"):
            await self._fan_out.write_within(tenant_id, drafts, connection)

    @asynccontextmanager
    async def _apart(self, connection: Connection, failure: str) -> AsyncIterator[None]:
        """Run the block behind a savepoint, so that it alone fails; log `failure` if it does."""
        try:
            async with connection.transaction():
                yield
        except Exception as error:
            if is_passing(error):
                raise
            self._failures.error(f"{failure}: {error}", error)


def _draft(told: OwnType, payload: bytes) -> TriggerDraft:
    return TriggerDraft(told.value, payload, None, None, None, None, is_own=True)

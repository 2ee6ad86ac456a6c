"""Announcements of results: written together with them, or noted and written later.

The engine's own triggers are written in the transaction of the change that they announce. If that
fails, the change is written without them, and a row in `delivery.pending_announcements` notes the
announcement.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final, TypeAlias, TypeVar

from delivery.models import EngineEventType
from delivery.store import endpoint_health, pending_announcements, reactions
from delivery.store.driver.failures import CONNECTION_ERRORS, cause_of, is_passing, text_of
from delivery.store.driver.transaction import savepoint, transaction

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence
    from uuid import UUID

    from delivery.engine.operational_triggers import OperationalTriggers
    from delivery.policy.endpoint_health import Health
    from delivery.store.driver.connection import Connection, Pool
    from delivery.store.driver.failures import Cause
    from delivery.store.endpoint_health import LockedHealth
    from delivery.store.pending_announcements import PendingAnnouncement

    Announce: TypeAlias = Callable[[Connection, Sequence[UUID]], Awaitable[None]]

__all__ = ["Announcements"]

T = TypeVar("T")

logger = logging.getLogger(__name__)

_INTERVAL: Final = 30.0
"""Seconds between two searches for announcements that other workers could not write."""
_BATCH: Final = 20


class _AnnouncementFailed(Exception):
    """Failure of an announcement, and not of the work that it announces."""

    def __init__(self, reason: Exception) -> None:
        super().__init__(reason)
        self.reason = reason


class Announcements:
    """Transactions with announcements, which never make them fail.

    Args:
        pool: Database.
        triggers: Writes the triggers.
    """

    def __init__(self, pool: Pool, triggers: OperationalTriggers) -> None:
        self._pool = pool
        self._triggers = triggers
        self._noted = asyncio.Event()
        self._reported: Cause | None = None

    async def transact(self, work: Callable[[Connection, Announce], Awaitable[T]]) -> T:
        """Run `work` in a transaction; it calls its second argument with exhausted jobs.

        If their announcement fails, `work` runs again in a new transaction, which only notes it.
        """
        try:
            async with transaction(self._pool) as connection:
                return await work(connection, self._announce)
        except _AnnouncementFailed as error:
            self._report(error.reason)
        async with transaction(self._pool) as connection:
            result = await work(connection, self._note)
        # After the commit: before it, the note is not visible.
        self._noted.set()
        return result

    def _report(self, error: BaseException) -> None:
        """Log the reason of a failed announcement, once for each cause in a row."""
        if cause_of(error) != self._reported:
            self._reported = cause_of(error)
            logger.error(
                "cannot write an announcement (%s); the result is stored without it, and the"
                " announcement is retried",
                text_of(error),
            )

    async def _announce(self, connection: Connection, job_ids: Sequence[UUID]) -> None:
        try:
            await self._triggers.raise_for_exhausted(connection, job_ids)
        except Exception as error:
            raise _AnnouncementFailed(error) from error

    async def _note(self, connection: Connection, job_ids: Sequence[UUID]) -> None:
        await self._note_all(connection, EngineEventType.JOB_EXHAUSTED, dict.fromkeys(job_ids))

    async def _note_all(
        self, connection: Connection, own_type: EngineEventType, subjects: Mapping[UUID, str | None]
    ) -> None:
        try:
            # A savepoint: the results are written even if the announcement cannot be noted.
            async with savepoint(connection):
                await pending_announcements.insert(connection, own_type.value, subjects)
        except CONNECTION_ERRORS as error:
            if is_passing(error):
                raise
            ids = ", ".join(map(str, subjects))
            logger.critical(
                "%s of %s will not be announced: %s", own_type.value, ids, text_of(error)
            )

    async def disable(self, reasons: Mapping[UUID, str]) -> None:
        """Disable reactions and announce that, in a separate transaction.

        Raises:
            Exception: One or more cannot be disabled.
        """
        try:
            async with transaction(self._pool) as connection:
                await self._triggers.disable(connection, reasons)
        except Exception as error:
            if is_passing(error):
                raise
            self._report(error)
        else:
            return
        # A new transaction: the error may have cost the connection of the first one.
        async with transaction(self._pool) as connection:
            await self._disable_and_note(connection, reasons)
        self._noted.set()

    async def disable_within(self, connection: Connection, reasons: Mapping[UUID, str]) -> None:
        """Disable reactions and announce that; note the announcement if it cannot be written."""
        try:
            async with savepoint(connection):
                await self._triggers.disable(connection, reasons)
        except Exception as error:
            if is_passing(error):
                raise
            self._report(error)
        else:
            return
        await self._disable_and_note(connection, reasons)

    async def _disable_and_note(self, connection: Connection, reasons: Mapping[UUID, str]) -> None:
        disabled = await reactions.disable(connection, dict(reasons))
        of_those = {each: reasons[each] for each in disabled}
        await self._note_all(connection, EngineEventType.REACTION_DISABLED, of_those)

    async def announce_within(
        self,
        connection: Connection,
        own_type: EngineEventType,
        reaction_id: UUID,
        locked: LockedHealth,
        health: Health,
    ) -> None:
        """Announce a change of a reaction; note the announcement if it cannot be written."""
        try:
            async with savepoint(connection):
                await self._triggers.raise_for_reaction(
                    connection, own_type, reaction_id, locked, health
                )
        except Exception as error:
            if is_passing(error):
                raise
            self._report(error)
        else:
            return
        await self._note_all(connection, own_type, {reaction_id: None})

    async def run(self) -> None:
        """Write noted announcements until cancelled."""
        pause = _INTERVAL
        while True:
            try:
                async with asyncio.timeout(pause):
                    await self._noted.wait()
            except TimeoutError:
                pass
            self._noted.clear()
            try:
                pause = await self._write_noted()
            except CONNECTION_ERRORS as error:
                logger.warning("cannot write noted announcements: %s", text_of(error))
                pause = _INTERVAL

    async def _write_noted(self) -> float:
        """Write due announcements one by one; return the seconds until the next search."""
        noted = await pending_announcements.list_first(self._pool, _BATCH)
        for each in noted:
            if each.due_in > 0:
                return min(each.due_in, _INTERVAL)
            try:
                await self._write_one(each)
            except Exception as error:
                if is_passing(error):
                    raise
                await pending_announcements.postpone(self._pool, each)
                logger.warning(
                    "%s of %s cannot be announced yet: %s", each.type, each.subject, text_of(error)
                )
        # Failed ones are due again in a second, and there may be more than one batch.
        return 0.0 if len(noted) == _BATCH else 1.0 if noted else _INTERVAL

    async def _write_one(self, noted: PendingAnnouncement) -> None:
        async with transaction(self._pool) as connection:
            if not await pending_announcements.delete(connection, noted):
                return
            if noted.type == EngineEventType.JOB_EXHAUSTED:
                await self._triggers.raise_for_exhausted(connection, [noted.subject])
            else:
                own_type = EngineEventType(noted.type)
                locked = await endpoint_health.lock(connection, {noted.subject: None})
                for reaction_id, each in locked.items():
                    await self._triggers.raise_for_reaction(
                        connection, own_type, reaction_id, each, each.health, noted.reason
                    )

"""Triggers of the engine that could not be written together with the change they announce."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from delivery.store.statements import statement

if TYPE_CHECKING:
    from collections.abc import Mapping
    from uuid import UUID

    from delivery.store.driver.connection import Queryable

__all__ = ["PendingAnnouncement", "delete", "insert", "list_first", "postpone"]


@dataclass(frozen=True, slots=True)
class PendingAnnouncement:
    """Announcement to be written later."""

    type: str
    """Event type."""
    subject: UUID
    """The job or the reaction, depending on the type."""
    reason: str | None
    due_in: float
    """Seconds until the next try."""


async def insert(executor: Queryable, type_: str, subjects: Mapping[UUID, str | None]) -> None:
    """Record announcements of one type to be written later, with a reason for each."""
    await executor.execute(
        statement("insert_pending_announcements"), type_, list(subjects), list(subjects.values())
    )


async def list_first(executor: Queryable, limit: int) -> list[PendingAnnouncement]:
    """Return the announcements that are due first."""
    rows = await executor.fetch(statement("list_pending_announcements"), limit)
    return [PendingAnnouncement(**row) for row in rows]


async def delete(executor: Queryable, pending: PendingAnnouncement) -> bool:
    """Delete an announcement before writing it in this transaction; return False if it is gone."""
    found = await executor.fetchval(
        statement("delete_pending_announcement"), pending.type, pending.subject
    )
    return found is not None


async def postpone(executor: Queryable, pending: PendingAnnouncement) -> None:
    """Postpone an announcement that could not be written."""
    await executor.execute(
        statement("postpone_pending_announcement"), pending.type, pending.subject
    )

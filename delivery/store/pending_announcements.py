"""Own triggers of the engine that could not be written with the change they announce."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from delivery.store.statements import statement

if TYPE_CHECKING:
    from collections.abc import Mapping
    from uuid import UUID

    from delivery.store.driver.connection import Executor

__all__ = ["Untold", "first", "note", "postpone", "remove"]


class Untold(NamedTuple):
    """One trigger to write: its type, the job or reaction it is about, and a reason."""

    type: str
    subject: UUID
    reason: str | None
    due_in: float
    """Seconds until it is to be tried."""


async def note(executor: Executor, type_: str, subjects: Mapping[UUID, str | None]) -> None:
    """Note triggers of one type that are still to be written, with a reason for each."""
    await executor.execute(statement("note_untold"), type_, list(subjects), list(subjects.values()))


async def first(executor: Executor, limit: int) -> list[Untold]:
    """Return those that are due first."""
    rows = await executor.fetch(statement("list_untold"), limit)
    return [Untold(*row) for row in rows]


async def remove(executor: Executor, untold: Untold) -> bool:
    """Remove one that is about to be written in this transaction; False if it is gone."""
    found = await executor.fetchval(statement("remove_untold"), untold.type, untold.subject)
    return found is not None


async def postpone(executor: Executor, untold: Untold) -> None:
    """Put one off that could not be written again."""
    await executor.execute(statement("postpone_untold"), untold.type, untold.subject)

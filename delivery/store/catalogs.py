"""A tenant's reactions as a producer matches against them, converted and checked row by row.

A row that is not as the engine writes it, changed by hand or stored by another version, must not
keep the tenant's other reactions from matching. Its usable values are used, and the rest is
reported as a fault.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

import orjson

from delivery.policy.retry import MOST_ATTEMPTS
from delivery.store.driver.caller import CallersTransaction
from delivery.store.statements import statement

if TYPE_CHECKING:
    from delivery.store.driver.connection import Executor

__all__ = ["Catalog", "CatalogEntry", "load_catalog"]

_MOST_VERSIONS: Final = 2**31 - 1
_LEAST_URGENT: Final = 2**15 - 1


@dataclass(frozen=True, slots=True)
class CatalogEntry:
    """As much of a reaction as fan-out needs."""

    id: UUID
    version: int
    event_types: tuple[str, ...]
    condition: str | None
    priority: int
    max_attempts: int


@dataclass(frozen=True, slots=True)
class Catalog:
    """A tenant's enabled reactions, in the order they were made, as of one version of them all."""

    version: int
    entries: tuple[CatalogEntry, ...]
    faults: tuple[tuple[UUID, str], ...] = ()
    """Reactions with unusable values, and the reasons."""


async def load_catalog(executor: Executor | CallersTransaction, tenant_id: str) -> Catalog:
    """Read the tenant's enabled reactions, in one snapshot with the version of the whole."""
    if isinstance(executor, CallersTransaction):
        rows: list[tuple[Any, ...]] = list(await executor.texts("load_catalog", tenant_id))
    else:
        rows = [tuple(row) for row in await executor.fetch(statement("load_catalog"), tenant_id)]
    entries: list[CatalogEntry] = []
    faults: list[tuple[UUID, str]] = []
    for row in rows:
        if row[1] is not None:
            entry, wrong = _entry(row)
            entries.append(entry)
            faults += [(entry.id, reason) for reason in wrong]
    return Catalog(int(rows[0][0]), tuple(entries), tuple(faults))


def _entry(row: tuple[Any, ...]) -> tuple[CatalogEntry, list[str]]:
    """Convert one row; its values may also be in PostgreSQL's text form."""
    _, reaction_id, version, event_types, condition, priority, max_attempts, params = row
    faults: list[str] = []
    patterns = orjson.loads(event_types)
    usable = tuple(each for each in patterns if isinstance(each, str))
    if len(usable) < len(patterns):
        faults.append("event_types has entries that are not texts; they match nothing")
    attempts = _attempts_in(params) if max_attempts is None else int(max_attempts)
    if attempts is None or not 1 <= attempts <= MOST_ATTEMPTS:
        faults.append(
            "its version has no max_attempts that can be used; its jobs are tried once"
            if attempts is None
            else f"max_attempts is {attempts}; its jobs are made with the nearest allowed value"
        )
        attempts = min(max(attempts or 1, 1), MOST_ATTEMPTS)
    entry = CatalogEntry(
        id=UUID(str(reaction_id)),
        version=min(int(version), _MOST_VERSIONS),
        event_types=usable,
        condition=condition,
        priority=min(int(priority), _LEAST_URGENT),
        max_attempts=attempts,
    )
    return entry, faults


def _attempts_in(params: str | None) -> int | None:
    """Read `max_attempts` out of a call stored by an older engine; None if it cannot be read."""
    try:
        attempts = orjson.loads(params or "")["retry"]["max_attempts"]
    except (KeyError, TypeError, ValueError):
        return None
    return attempts if isinstance(attempts, int) and not isinstance(attempts, bool) else None

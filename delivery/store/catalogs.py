"""Reactions of a tenant, for matching by producers, converted and checked row by row.

A row that the engine has not written, because it was changed by hand or by another version, must
not prevent the tenant's other reactions from matching. Its usable values are used, and the others
are reported as faults.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from uuid import UUID

import orjson

from delivery.policy.retry import MOST_ATTEMPTS
from delivery.store.driver.caller import CallersTransaction
from delivery.store.statements import statement

if TYPE_CHECKING:
    from delivery.store.driver.connection import Queryable

__all__ = ["Catalog", "CatalogEntry", "load_catalog"]

_MAX_VERSION: Final = 2**31 - 1
_MAX_PRIORITY: Final = 2**15 - 1


@dataclass(frozen=True, slots=True)
class CatalogEntry:
    """Properties of a reaction that fan-out needs."""

    id: UUID
    version: int
    event_types: tuple[str, ...]
    condition: str | None
    priority: int
    max_attempts: int


@dataclass(frozen=True, slots=True)
class Catalog:
    """Enabled reactions of a tenant by creation time, and the version of this list."""

    version: int
    entries: tuple[CatalogEntry, ...]
    faults: tuple[tuple[UUID, str], ...] = ()
    """Reactions with unusable values, and the reasons."""


class _Row(NamedTuple):
    """Row of `load_catalog.sql`; on the connection of a caller each value is a string or None."""

    catalog_version: Any
    id: Any
    version: Any
    event_types: Any
    condition: Any
    priority: Any
    max_attempts: Any


async def load_catalog(executor: Queryable | CallersTransaction, tenant_id: str) -> Catalog:
    """Read the tenant's enabled reactions and the version of the catalog in one snapshot."""
    if isinstance(executor, CallersTransaction):
        rows = [_Row(*row) for row in await executor.texts("load_catalog", tenant_id)]
    else:
        rows = [_Row(*row) for row in await executor.fetch(statement("load_catalog"), tenant_id)]
    entries: list[CatalogEntry] = []
    faults: list[tuple[UUID, str]] = []
    for row in rows:
        if row.id is not None:
            entry, reasons = _entry(row)
            entries.append(entry)
            faults += [(entry.id, reason) for reason in reasons]
    return Catalog(int(rows[0].catalog_version), tuple(entries), tuple(faults))


def _entry(row: _Row) -> tuple[CatalogEntry, list[str]]:
    """Convert one row and return the reasons why some of its values are unusable."""
    faults: list[str] = []
    patterns = orjson.loads(row.event_types)
    usable = tuple(each for each in patterns if isinstance(each, str))
    if len(usable) < len(patterns):
        faults.append("event_types has entries that are not strings; they match nothing")
    attempts = None if row.max_attempts is None else int(row.max_attempts)
    if attempts is None:
        faults.append("its current version is missing; its jobs are tried once")
        attempts = 1
    elif not 1 <= attempts <= MOST_ATTEMPTS:
        faults.append(f"max_attempts is {attempts}; its jobs get the nearest allowed value")
        attempts = min(max(attempts, 1), MOST_ATTEMPTS)
    entry = CatalogEntry(
        id=UUID(str(row.id)),
        version=min(int(row.version), _MAX_VERSION),
        event_types=usable,
        condition=row.condition,
        priority=min(int(row.priority), _MAX_PRIORITY),
        max_attempts=attempts,
    )
    return entry, faults

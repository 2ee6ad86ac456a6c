"""Reactions, their versions, and the catalog a producer matches against."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from delivery.message.params import decode_params, encode_params
from delivery.models import CircuitState, HttpParams, Reaction, ReactionHealth, ReactionState
from delivery.store.statements import statement

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from uuid import UUID

    import asyncpg

    from delivery.store.connection import Executor

__all__ = [
    "Catalog",
    "CatalogEntry",
    "delete",
    "disable",
    "get",
    "insert",
    "list_page",
    "load_catalog",
    "load_versions",
    "update",
]


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


def _limits(params: HttpParams) -> tuple[int | None, int | None, float | None, bool]:
    rate = params.rate_limit
    return (
        params.concurrency,
        None if rate is None else rate.limit,
        None if rate is None else rate.period,
        params.ordered,
    )


def _reaction(row: asyncpg.Record) -> Reaction:
    return Reaction(
        id=row["id"],
        tenant_id=row["tenant_id"],
        area_id=row["area_id"],
        name=row["name"],
        event_types=tuple(row["event_types"]),
        condition=row["condition"],
        params=decode_params(row["params"], row["credentials"]),
        priority=row["priority"],
        state=ReactionState(row["state"]),
        state_reason=row["state_reason"],
        version=row["version"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
        health=_health(row),
    )


def _health(row: asyncpg.Record) -> ReactionHealth:
    if row.get("failures") is None:
        return ReactionHealth()
    circuit = CircuitState.CLOSED
    if row["openings"]:
        circuit = CircuitState.HALF_OPEN if row["pause_is_over"] else CircuitState.OPEN
    return ReactionHealth(
        circuit,
        row["failures"],
        row["failing_since"],
        None if row["pause_is_over"] else row["paused_until"],
    )


async def insert(
    executor: Executor,
    *,
    reaction_id: UUID,
    tenant_id: str,
    area_id: str | None,
    name: str,
    event_types: Sequence[str],
    condition: str | None,
    priority: int,
    params: HttpParams,
) -> Reaction:
    """Write a new, enabled reaction."""
    row = await executor.fetchrow(
        statement("insert_reaction"),
        reaction_id,
        tenant_id,
        area_id,
        name,
        list(event_types),
        condition,
        priority,
        *encode_params(params),
        *_limits(params),
        params.live,
    )
    assert row is not None
    return _reaction(row)


async def update(executor: Executor, changed: Reaction) -> Reaction | None:
    """Write the next version of a reaction; None if its version is not `changed.version`."""
    row = await executor.fetchrow(
        statement("update_reaction"),
        changed.id,
        changed.tenant_id,
        changed.version,
        changed.area_id,
        changed.name,
        list(changed.event_types),
        changed.condition,
        changed.priority,
        changed.state.value,
        changed.state_reason,
        *encode_params(changed.params),
        *_limits(changed.params),
        changed.params.live,
    )
    return None if row is None else _reaction(row)


async def delete(executor: Executor, reaction_id: UUID, tenant_id: str) -> bool:
    """Mark a reaction as deleted; False if there is none."""
    return bool(await executor.fetchval(statement("delete_reaction"), reaction_id, tenant_id))


async def disable(executor: Executor, reasons: dict[UUID, str]) -> list[UUID]:
    """Disable the enabled ones among these, with a reason each; returns which they were."""
    rows = await executor.fetch(
        statement("disable_reactions"), list(reasons), list(reasons.values())
    )
    return [row["id"] for row in rows]


async def get(executor: Executor, reaction_id: UUID, tenant_id: str) -> Reaction | None:
    """One reaction, unless it is deleted or another tenant's."""
    row = await executor.fetchrow(statement("get_reaction"), reaction_id, tenant_id)
    return None if row is None else _reaction(row)


async def list_page(
    executor: Executor,
    *,
    tenant_id: str,
    after: UUID | None,
    state: ReactionState | None,
    limit: int,
) -> list[Reaction]:
    """Reactions in the order they were made; deleted ones only if asked for by `state`."""
    rows = await executor.fetch(
        statement("list_reactions"), tenant_id, after, None if state is None else state.value, limit
    )
    return [_reaction(row) for row in rows]


async def load_catalog(executor: Executor, tenant_id: str) -> Catalog:
    """The tenant's enabled reactions, in one snapshot with the version that stands for them."""
    rows = await executor.fetch(statement("load_catalog"), tenant_id)
    return Catalog(
        version=rows[0]["catalog_version"],
        entries=tuple(
            CatalogEntry(
                id=row["id"],
                version=row["version"],
                event_types=tuple(row["event_types"]),
                condition=row["condition"],
                priority=row["priority"],
                max_attempts=row["max_attempts"],
            )
            for row in rows
            if row["id"] is not None
        ),
    )


async def load_versions(
    executor: Executor, wanted: Iterable[tuple[UUID, int]]
) -> dict[tuple[UUID, int], tuple[str, str]]:
    """The stored texts of the calls of certain reaction versions, for `decode_params`."""
    pairs = list(wanted)
    rows = await executor.fetch(
        statement("load_versions"), [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    )
    return {
        (row["reaction_id"], row["version"]): (row["params"], row["credentials"]) for row in rows
    }

"""Reactions and their versions.

A reaction is read with its secrets redacted, which needs no key, together with its stored form,
which contains the encrypted secrets.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, NamedTuple

import orjson

from delivery.message.redaction.by_name import REDACTED
from delivery.message.signing.stored_secrets import decode_signing, redacted_signing
from delivery.message.storage.calls import StoredCall, decode_params, redacted_params
from delivery.models import CircuitState, HttpParams, Reaction, ReactionHealth, ReactionState
from delivery.store.statements import statement

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from uuid import UUID

    import asyncpg

    from delivery.message.storage.encryption import Cipher
    from delivery.store.driver.connection import Queryable

__all__ = [
    "StoredReaction",
    "StoredVersion",
    "delete",
    "disable",
    "get",
    "insert",
    "list_page",
    "load_versions",
    "rotate",
    "update",
]


class StoredVersion(NamedTuple):
    """Request of one version of a reaction, as stored."""

    call: StoredCall
    signing: str
    """Current signing secrets of the reaction; see `delivery.message.signing.stored_secrets`."""
    name: str
    area_id: str | None


_UNREADABLE: Final = HttpParams("(the stored request cannot be read)")
"""Returned for a stored request that the engine cannot read."""


@dataclass(frozen=True, slots=True)
class StoredReaction:
    """Reaction with redacted secrets, and its stored form."""

    shown: Reaction
    call: StoredCall
    signing: str
    signing_version: int

    def revealed(self, cipher: Cipher) -> Reaction:
        """Return the reaction with its secrets decrypted.

        Raises:
            MissingKey: The cipher does not have the key with which they were encrypted.
        """
        secrets = decode_signing(self.signing, cipher)
        params = decode_params(self.call, cipher)
        texts = tuple(each.secret for each in secrets)
        return replace(self.shown, params=replace(params, secrets=texts), secrets=secrets)


def _limits(params: HttpParams) -> tuple[int | None, int | None, float | None, bool]:
    rate = params.rate_limit
    return (
        params.concurrency,
        None if rate is None else rate.limit,
        None if rate is None else rate.period,
        params.ordered,
    )


def _stored(row: asyncpg.Record) -> StoredReaction:
    call = StoredCall(row["params"], row["credentials"])
    return StoredReaction(_shown(row, call), call, row["signing"], row["signing_version"])


def _shown(row: asyncpg.Record, call: StoredCall) -> Reaction:
    try:
        secrets, params = redacted_signing(row["signing"]), redacted_params(call)
    except (AttributeError, KeyError, TypeError, ValueError):
        # One row that was changed by hand must not fail the listing.
        secrets, params = (), _UNREADABLE
    return Reaction(
        id=row["id"],
        tenant_id=row["tenant_id"],
        area_id=row["area_id"],
        name=row["name"],
        event_types=tuple(each for each in row["event_types"] if isinstance(each, str)),
        condition=row["condition"],
        params=replace(params, secrets=(REDACTED,) * len(secrets)),
        priority=row["priority"],
        state=ReactionState(row["state"]),
        state_reason=row["state_reason"],
        version=row["version"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
        health=_health(row),
        secrets=secrets,
        metadata=_decode_metadata(row["metadata"]),
    )


def _encode_metadata(metadata: Mapping[str, str]) -> str:
    """Return the JSON of metadata."""
    return orjson.dumps(dict(metadata)).decode()


def _decode_metadata(text: str) -> dict[str, str]:
    # A value that was changed by hand to something other than a string is left out.
    return {key: value for key, value in orjson.loads(text).items() if isinstance(value, str)}


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
    executor: Queryable,
    *,
    reaction_id: UUID,
    tenant_id: str,
    area_id: str | None,
    name: str,
    event_types: Sequence[str],
    condition: str | None,
    priority: int,
    metadata: Mapping[str, str],
    params: HttpParams,
    call: StoredCall,
    signing: str,
) -> StoredReaction:
    """Write an enabled reaction; `call` is the stored form of `params`."""
    row = await executor.fetchrow(
        statement("insert_reaction"),
        reaction_id,
        tenant_id,
        area_id,
        name,
        list(event_types),
        condition,
        priority,
        _encode_metadata(metadata),
        *call,
        params.retry.max_attempts,
        signing,
        params.live,
        *_limits(params),
    )
    assert row is not None
    return _stored(row)


async def update(
    executor: Queryable,
    changed: Reaction,
    call: StoredCall,
    signing: str | None,
    signing_version: int,
) -> StoredReaction | None:
    """Write the next version of a reaction.

    Args:
        executor: A connection or pool.
        changed: The reaction, with the version at which it was read.
        call: Stored form of its `params`.
        signing: Stored form of its new signing secrets; None: unchanged.
        signing_version: Version of the secrets that `signing` replaces.

    Returns:
        The updated reaction; None if one of the versions is no longer current.
    """
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
        _encode_metadata(changed.metadata),
        *call,
        changed.params.retry.max_attempts,
        signing,
        signing_version,
        changed.params.live,
        *_limits(changed.params),
    )
    return None if row is None else _stored(row)


async def rotate(
    executor: Queryable, reaction_id: UUID, tenant_id: str, signing: str, signing_version: int
) -> bool:
    """Replace the signing secrets; return False if `signing_version` is no longer current."""
    return (
        await executor.fetchval(
            statement("rotate_signing"), reaction_id, tenant_id, signing_version, signing
        )
        is not None
    )


async def delete(executor: Queryable, reaction_id: UUID, tenant_id: str) -> bool:
    """Mark a reaction as deleted; return False if there is none."""
    return bool(await executor.fetchval(statement("delete_reaction"), reaction_id, tenant_id))


async def disable(executor: Queryable, reasons: dict[UUID, str]) -> list[UUID]:
    """Disable the enabled ones among these reactions, with a reason each, and return their ids."""
    rows = await executor.fetch(
        statement("disable_reactions"), list(reasons), list(reasons.values())
    )
    return [row["id"] for row in rows]


async def get(executor: Queryable, reaction_id: UUID, tenant_id: str) -> StoredReaction | None:
    """Return one reaction of the tenant, unless it is deleted."""
    row = await executor.fetchrow(statement("get_reaction"), reaction_id, tenant_id)
    return None if row is None else _stored(row)


async def list_page(
    executor: Queryable,
    *,
    tenant_id: str,
    after: UUID | None,
    state: ReactionState | None,
    limit: int,
) -> list[StoredReaction]:
    """Return a page of reactions by creation time; deleted ones only for the state `deleted`."""
    rows = await executor.fetch(
        statement("list_reactions"), tenant_id, after, None if state is None else state.value, limit
    )
    return [_stored(row) for row in rows]


async def load_versions(
    executor: Queryable, wanted: Iterable[tuple[UUID, int]]
) -> dict[tuple[UUID, int], StoredVersion]:
    """Return the requests of versions of reactions, with the current signing secrets."""
    pairs = list(wanted)
    rows = await executor.fetch(
        statement("load_versions"), [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    )
    return {
        (row["reaction_id"], row["version"]): StoredVersion(
            StoredCall(row["params"], row["credentials"]),
            row["signing"],
            row["name"],
            row["area_id"],
        )
        for row in rows
    }

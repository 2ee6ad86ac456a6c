"""Rows with secrets, in batches, for encryption with another key."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from delivery.message.storage.calls import StoredCall
from delivery.store.statements import statement

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID

    import asyncpg

    from delivery.store.driver.connection import Queryable

__all__ = [
    "EncryptedCall",
    "SigningChange",
    "StoredSigning",
    "count_keys",
    "list_calls",
    "list_direct_calls",
    "list_signing",
    "write_calls",
    "write_direct_calls",
    "write_signing",
]


@dataclass(frozen=True, slots=True)
class EncryptedCall:
    """Request of a version of a reaction, or of a direct job, as stored."""

    id: UUID
    version: int
    """0 for a direct job."""
    call: StoredCall


@dataclass(frozen=True, slots=True)
class StoredSigning:
    """Signing secrets of a reaction, as stored."""

    reaction_id: UUID
    signing: str


@dataclass(frozen=True, slots=True)
class SigningChange:
    """New stored form of the signing secrets of a reaction."""

    reaction_id: UUID
    read: str
    """Stored form that was read."""
    new: str


async def list_signing(executor: Queryable, after: UUID, limit: int) -> list[StoredSigning]:
    """Return the signing secrets of the next reactions after an id, also of deleted ones."""
    rows = await executor.fetch(statement("list_signing"), after, limit)
    return [StoredSigning(row["id"], row["signing"]) for row in rows]


async def write_signing(executor: Queryable, changes: Sequence[SigningChange]) -> int:
    """Write signing secrets that have not changed since they were read; return their number."""
    return len(
        await executor.fetch(
            statement("reencrypt_signing"),
            [each.reaction_id for each in changes],
            [each.read for each in changes],
            [each.new for each in changes],
        )
    )


async def list_calls(
    executor: Queryable, after: tuple[UUID, int], limit: int
) -> list[EncryptedCall]:
    """Return the next versions of reactions after an id and version."""
    return _calls(await executor.fetch(statement("list_stored_calls"), *after, limit))


async def list_direct_calls(
    executor: Queryable, after: tuple[UUID, int], limit: int
) -> list[EncryptedCall]:
    """Return the next direct jobs after an id."""
    return _calls(await executor.fetch(statement("list_stored_direct_calls"), after[0], limit))


async def write_calls(executor: Queryable, changes: Sequence[EncryptedCall]) -> int:
    """Write the stored form of versions of reactions; return their number."""
    return len(
        await executor.fetch(
            statement("reencrypt_calls"),
            [each.id for each in changes],
            [each.version for each in changes],
            [each.call.params for each in changes],
            [each.call.credentials for each in changes],
        )
    )


async def write_direct_calls(executor: Queryable, changes: Sequence[EncryptedCall]) -> int:
    """Write the stored form of direct jobs; return their number."""
    return len(
        await executor.fetch(
            statement("reencrypt_direct_calls"),
            [each.id for each in changes],
            [each.call.params for each in changes],
            [each.call.credentials for each in changes],
        )
    )


async def count_keys(executor: Queryable) -> dict[str, int]:
    """Count the secrets of reactions by the name of their key; `""`: not encrypted."""
    rows = await executor.fetch(statement("count_encryption_keys"))
    return {row["label"]: row["secrets"] for row in rows}


def _calls(rows: Sequence[asyncpg.Record]) -> list[EncryptedCall]:
    return [
        EncryptedCall(row["id"], row["version"], StoredCall(row["params"], row["credentials"]))
        for row in rows
    ]

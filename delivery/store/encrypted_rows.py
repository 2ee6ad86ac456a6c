"""Batches of the rows with secrets, for re-encryption."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from delivery.message.storage.calls import StoredCall
from delivery.store.statements import statement

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID

    import asyncpg

    from delivery.store.driver.connection import Executor

__all__ = [
    "EncryptedCall",
    "list_calls",
    "list_direct_calls",
    "list_signing",
    "look",
    "write_calls",
    "write_direct_calls",
    "write_signing",
]


class EncryptedCall(NamedTuple):
    """The call of a version of a reaction, or of a direct job, as it is stored."""

    id: UUID
    version: int
    """0 for a direct job."""
    call: StoredCall


async def list_signing(executor: Executor, after: UUID, limit: int) -> list[tuple[UUID, str]]:
    """The next reactions after an id, deleted ones too, with their signing secrets as stored."""
    rows = await executor.fetch(statement("list_signing"), after, limit)
    return [(row["id"], row["signing"]) for row in rows]


async def write_signing(executor: Executor, changes: Sequence[tuple[UUID, str, str]]) -> int:
    """Write the last of each (id, before, after) unless it has changed since; how many were."""
    columns = [list(column) for column in zip(*changes, strict=True)]
    return len(await executor.fetch(statement("reencrypt_signing"), *columns))


async def list_calls(
    executor: Executor, after: tuple[UUID, int], limit: int
) -> list[EncryptedCall]:
    """The next versions of reactions after an id and version."""
    return _calls(await executor.fetch(statement("list_credentials"), *after, limit))


async def list_direct_calls(
    executor: Executor, after: tuple[UUID, int], limit: int
) -> list[EncryptedCall]:
    """The next direct jobs after an id."""
    return _calls(await executor.fetch(statement("list_direct_credentials"), after[0], limit))


async def write_calls(executor: Executor, changes: Sequence[EncryptedCall]) -> int:
    """Write how versions of reactions are stored; how many there were."""
    return len(
        await executor.fetch(
            statement("reencrypt_credentials"),
            [each.id for each in changes],
            [each.version for each in changes],
            [each.call.params for each in changes],
            [each.call.credentials for each in changes],
        )
    )


async def write_direct_calls(executor: Executor, changes: Sequence[EncryptedCall]) -> int:
    """Write how direct jobs are stored; how many there were."""
    return len(
        await executor.fetch(
            statement("reencrypt_direct_credentials"),
            [each.id for each in changes],
            [each.call.params for each in changes],
            [each.call.credentials for each in changes],
        )
    )


async def look(executor: Executor) -> dict[str, int]:
    """Count the secrets of reactions by the label of their key; `""` if not encrypted."""
    return {
        row["label"]: row["held"]
        for row in await executor.fetch(statement("count_encryption_keys"))
    }


def _calls(rows: Sequence[asyncpg.Record]) -> list[EncryptedCall]:
    return [
        EncryptedCall(row["id"], row["version"], StoredCall(row["params"], row["credentials"]))
        for row in rows
    ]

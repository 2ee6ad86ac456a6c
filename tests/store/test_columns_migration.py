"""Values that statements need are moved into columns, whatever the stored texts hold."""

from __future__ import annotations

from uuid import UUID

import asyncpg
import pytest

from delivery.store.catalogs import load_catalog
from delivery.store.migrate import load_migrations, migrate

pytestmark = pytest.mark.anyio

STORED = {
    UUID(int=1): ('{"retry":{"max_attempts":7}}', 7, 7),
    UUID(int=2): ('{"query":[["a","\\u0000"]],"retry":{"max_attempts":8}}', None, 8),
    UUID(int=3): ("no JSON", None, 1),
    UUID(int=4): ("[]", None, 1),
    UUID(int=5): ('{"retry":{"max_attempts":"many"}}', None, 1),
    UUID(int=6): ('{"retry":{"max_attempts":99999999}}', 99_999_999, 10_000),
}
"""By reaction: its call, the values that the migration reads, and those that the engine uses."""


async def test_max_attempts_is_read_where_it_can_be_and_no_row_fails_the_migration(
    empty_database_url: str,
) -> None:
    known = load_migrations()
    before = next(each.version for each in known if each.name == "columns") - 1
    connection = await asyncpg.connect(empty_database_url)
    try:
        await migrate(connection, known[:before])
        for reaction_id, (params, _, _) in STORED.items():
            await connection.execute(
                "INSERT INTO delivery.reactions (id, tenant_id, name, event_types, priority, state,"
                " version) VALUES ($1, 'default', 'r', '{*}', 100, 'enabled', 1)",
                reaction_id,
            )
            await connection.execute(
                "INSERT INTO delivery.reaction_versions (reaction_id, version, params, credentials)"
                " VALUES ($1, 1, $2, '{}')",
                *(reaction_id, params),
            )
        await migrate(connection)
        rows = await connection.fetch(
            "SELECT reaction_id, max_attempts FROM delivery.reaction_versions"
        )
        catalog = await load_catalog(connection, "default")
    finally:
        await connection.close()
    moved = {row["reaction_id"]: row["max_attempts"] for row in rows}
    assert moved == {key: column for key, (_, column, _) in STORED.items()}
    used = {entry.id: entry.max_attempts for entry in catalog.entries}
    assert used == {key: attempts for key, (_, _, attempts) in STORED.items()}
    assert {key for key, _ in catalog.faults} == {UUID(int=n) for n in (3, 4, 5, 6)}

"""Signing secrets of before are moved from the versions of reactions to the reactions."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID

import asyncpg
import pytest

import delivery
from delivery.store.migrate import load_migrations, migrate
from tests.support.engines import SECRET, engine_on

pytestmark = pytest.mark.anyio

OLD = "whsec_" + "b2xkIHNlY3JldCBvZiAyNCBieXRlcyBhdCBsZWFzdA=="
SIGNED, UNSIGNED = UUID(int=1), UUID(int=2)
PARAMS: dict[str, Any] = {
    "url": "https://example.test/hook",
    "method": "POST",
    "headers": [["Cookie", "hunter2"]],
    "body": {"kind": "payload", "content": None, "content_type": None},
    "timeout": None,
    "connect_timeout": None,
    "retry": {
        "max_attempts": 3,
        "strategy": "constant",
        "base": 1.0,
        "factor": 3.0,
        "max": 10.0,
        "jitter": 0.0,
        "max_elapsed": None,
        "schedule": [],
    },
    "status_actions": [],
    "concurrency": None,
    "tls": {"ca": None, "client_certificate": None},
}


async def test_secrets_of_the_current_version_become_the_reaction_s(
    empty_database_url: str,
) -> None:
    """And stand in no version any more; the TLS key stays with its version."""
    known = load_migrations()
    before = next(each.version for each in known if each.name == "signing") - 1
    connection = await asyncpg.connect(empty_database_url)
    try:
        await migrate(connection, known[:before])
        for reaction_id, versions in (
            (SIGNED, [([OLD], "KEY"), ([SECRET, OLD], None)]),
            (UNSIGNED, [([], None)]),
        ):
            await connection.execute(
                "INSERT INTO delivery.reactions (id, tenant_id, name, event_types, priority, state,"
                " version) VALUES ($1, 'default', 'r', '{*}', 100, 'enabled', $2)",
                *(reaction_id, len(versions)),
            )
            for version, (secrets, key) in enumerate(versions, start=1):
                await connection.execute(
                    "INSERT INTO delivery.reaction_versions VALUES ($1, $2, $3, $4)",
                    *(reaction_id, version, json.dumps(PARAMS)),
                    json.dumps({"secrets": secrets, "client_key": key}),
                )
        await migrate(connection)
        stored = await connection.fetch(
            "SELECT credentials FROM delivery.reaction_versions ORDER BY reaction_id, version"
        )
    finally:
        await connection.close()
    assert [json.loads(row["credentials"]) for row in stored] == [{"client_key": "KEY"}, {}, {}]
    async with engine_on(empty_database_url) as engine:
        signed = await engine.reactions.get(SIGNED, reveal=True)
        assert signed.params.secrets == (SECRET, OLD)
        assert [each.kind for each in signed.secrets] == [delivery.SignatureKind.V1] * 2
        assert (await engine.reactions.get(SIGNED)).params.headers == (("Cookie", "***"),)
        assert (await engine.reactions.get(UNSIGNED)).secrets == ()

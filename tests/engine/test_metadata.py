"""Metadata of reactions: strings for the use of the caller."""

from __future__ import annotations

from typing import Any

import pytest

from delivery.errors import InvalidInput
from delivery.rendering import to_json
from tests.support.engines import engine_on

pytestmark = pytest.mark.anyio

URL = "https://example.com/"


async def test_metadata_is_stored_returned_and_replaced(database_url: str) -> None:
    async with engine_on(database_url) as engine:
        plain = await engine.reactions.create(name="r", url=URL)
        assert plain.metadata == {}
        made = await engine.reactions.create(
            name="r", url=URL, metadata={"plan": "gold", "größe": '"\\'}
        )
        assert made.metadata == {"plan": "gold", "größe": '"\\'}
        assert (await engine.reactions.get(made.id)).metadata == made.metadata
        assert [each.metadata for each in (await engine.reactions.list()).items] == [
            {},
            made.metadata,
        ]
        assert to_json(made)["metadata"] == made.metadata
        renamed = await engine.reactions.update(made.id, name="s")
        assert renamed.metadata == made.metadata
        changed = await engine.reactions.update(made.id, metadata={"plan": "silver"})
        assert changed.metadata == {"plan": "silver"}
        assert (await engine.reactions.update(made.id, metadata={})).metadata == {}


@pytest.mark.parametrize(
    "metadata",
    [
        [("a", "b")],
        "a=b",
        {"a": 1},
        {1: "a"},
        {"": "a"},
        {"a": ""},
        {"a": "\0"},
        {"a": "\ud800"},
        {"a" * 101: "a"},
        {"a": "b" * 1_001},
        {str(number): "a" for number in range(51)},
    ],
)
async def test_invalid_metadata_is_refused(database_url: str, metadata: Any) -> None:
    async with engine_on(database_url) as engine:
        with pytest.raises(InvalidInput, match="metadata"):
            await engine.reactions.create(name="r", url=URL, metadata=metadata)
        made = await engine.reactions.create(name="r", url=URL)
        with pytest.raises(InvalidInput, match="metadata"):
            await engine.reactions.update(made.id, metadata=metadata)


async def test_values_that_were_changed_by_hand_do_not_fail_a_listing(database_url: str) -> None:
    async with engine_on(database_url) as engine:
        made = await engine.reactions.create(name="r", url=URL)
        await engine._pool.execute(
            """UPDATE delivery.reactions SET metadata = '{"a": 1, "b": "x", "c": null}'"""
        )
        assert (await engine.reactions.get(made.id)).metadata == {"b": "x"}

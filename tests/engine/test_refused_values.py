"""Values that the database cannot hold, or read back, are refused when they are given."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from delivery import InvalidInput
from tests.support.engines import engine_on

pytestmark = pytest.mark.anyio


async def test_values_that_cannot_be_stored_are_refused_when_they_are_given(
    database_url: str,
) -> None:
    async with engine_on(database_url) as engine:
        url = "http://127.0.0.1:9/"
        reaction = await engine.reactions.create(name="r", event_types=["x"], url=url)
        calls: list[dict[str, Any]] = [
            {"query": {"a": "\0"}},
            {"query": {"\0": "a"}},
            {"query": {"a": "\ud800"}},
            {"headers": {"a": "\0"}},
            {"body": {"kind": "json", "content": {"a": ["b", {"c": "\0"}]}}},
            {"body": {"kind": "json", "content": {"\0": 1}}},
            {"body": {"kind": "form", "content": {"a": "\0"}}},
            {"body": {"kind": "raw", "content": "a\0b"}},
            {"name": "\0"},
            {"name": "\udfff"},
            {"area_id": "\ud800"},
            {"condition": "a == '\0'"},
            {"event_types": ["a\0"]},
            {"event_types": ["a\ud800"]},
        ]
        for call in calls:
            with pytest.raises(InvalidInput):
                await engine.reactions.create(**{"name": "r", "url": url, **call})
            with pytest.raises(InvalidInput):
                await engine.reactions.update(reaction.id, **call)
        soon = datetime.now(UTC)
        times: list[dict[str, Any]] = [
            {"run_at": datetime.min.replace(tzinfo=UTC)},
            {"run_at": datetime.max.replace(tzinfo=UTC)},
            {"run_at": datetime(1969, 12, 31, tzinfo=UTC)},
            {"deadline": datetime.max.replace(tzinfo=UTC)},
            {"deadline": datetime(2201, 1, 1, tzinfo=UTC)},
            {"delay": 1e10},
            {"delay": timedelta.max},
            {"user_id": "\ud800"},
            {"tenant_id": "\ud800"},
        ]
        for given in times:
            with pytest.raises(InvalidInput):
                await engine.trigger("x", 1, **given)
            with pytest.raises(InvalidInput):
                await engine.jobs.create(url=url, **given)
        assert (await engine.triggers.list()).items == ()
        await engine.trigger("x", "\0", run_at=soon)

"""Reads for ids and statuses do not grow with the number of recorded rows."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from delivery.clock import jobs_of_trigger
from tests.store.test_plans import BACKLOG, explain, filled
from tests.support.queues import opened

pytestmark = pytest.mark.anyio

SEARCHED = 500


def touched(node: dict[str, Any]) -> int:
    """The rows that a node of a plan has read."""
    rows: int = node["Actual Rows"] + node.get("Rows Removed by Filter", 0)
    return rows * int(node["Actual Loops"])


@pytest.mark.parametrize("kind", ["trigger", "job"])
@pytest.mark.parametrize("plans", ["force_custom_plan", "force_generic_plan"])
async def test_a_search_for_ids_reads_the_newest_rows_only(
    database_url: str, plans: str, kind: str
) -> None:
    assert BACKLOG > 10 * SEARCHED
    async with opened(database_url) as bench:
        await filled(bench)
        await bench.pool.execute("ANALYZE")
        ends = [UUID(int=0), UUID(int=(1 << 128) - 1)]
        arguments = ["default", *ends, "ffff", SEARCHED, 6]
        async with bench.pool.acquire() as connection:
            plan = await explain(connection, f"find_{kind}_ids", arguments, plans=plans)
        # Both ends: each reads so many rows at most.
        assert max(map(touched, plan)) <= 2 * SEARCHED


@pytest.mark.parametrize("plans", ["force_custom_plan", "force_generic_plan"])
async def test_the_statuses_of_triggers_are_read_by_their_ranges(
    database_url: str, plans: str
) -> None:
    async with opened(database_url) as bench:
        await filled(bench)
        async with bench.pool.acquire() as connection:
            await connection.execute("ANALYZE")
            rows = await connection.fetch(
                "SELECT trigger_id FROM delivery.jobs ORDER BY id DESC LIMIT 50"
            )
            asked = [row["trigger_id"] for row in rows]
            ranges = [jobs_of_trigger(trigger_id) for trigger_id in asked]
            firsts, lasts = zip(*ranges, strict=True)
            plan = await explain(
                connection, "trigger_statuses", [asked, firsts, lasts, "default"], plans=plans
            )
        assert plan[0]["Actual Rows"] == len(asked)
        assert max(map(touched, plan)) <= 4 * len(asked)

"""The cost of lookups does not grow with the number of recorded rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest

from delivery.clock import jobs_of_trigger
from delivery.store.settlements import settle
from tests.store.test_plans import BACKLOG, explain, filled
from tests.support.queues import opened, succeeded

if TYPE_CHECKING:
    from delivery.store.queue import ClaimedJob
    from tests.support.queues import Bench

pytestmark = pytest.mark.anyio

SEARCHED = 500


def touched(node: dict[str, Any]) -> int:
    """Return the number of rows that a node of a plan has read."""
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
        # Each end reads this number of rows.
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


@pytest.mark.parametrize("order", ["newest", "oldest"])
@pytest.mark.parametrize("plans", ["force_custom_plan", "force_generic_plan"])
async def test_failed_logs_are_found_among_any_number_of_successes(
    database_url: str, plans: str, order: str
) -> None:
    async with opened(database_url) as bench:
        lease_id, jobs = await _claimed(bench, 1_000)
        results = [
            succeeded(bench, lease_id, job, **(_FAILED if number % 250 == 0 else {}))
            for number, job in enumerate(jobs)
        ]
        await settle(bench.pool, bench.worker_id, results, [lease_id])
        async with bench.pool.acquire() as connection:
            await connection.execute("ANALYZE")
            arguments = ["default", None, None, None, None, "failed", None, 50]
            plan = await explain(connection, f"list_failed_logs_{order}", arguments, plans=plans)
        assert plan[0]["Actual Rows"] == 4
        assert max(map(touched, plan)) <= 8


_FAILED = {"status": "failed", "outcome": "failed", "status_code": 404}


async def _claimed(bench: Bench, count: int) -> tuple[UUID, list[ClaimedJob]]:
    await bench.enqueue(count)
    return await bench.claim(count)


@pytest.mark.parametrize("plans", ["force_custom_plan", "force_generic_plan"])
async def test_a_message_is_found_without_reading_other_jobs(database_url: str, plans: str) -> None:
    async with opened(database_url) as bench:
        await filled(bench)
        async with bench.pool.acquire() as connection:
            job_id = await connection.fetchval(
                "SELECT id FROM delivery.jobs ORDER BY id DESC LIMIT 1"
            )
            await connection.execute(
                "INSERT INTO delivery.jobs (id, message_id, tenant_id, priority, max_attempts,"
                " run_at) VALUES ($1, $2, 'default', 1, 1, now())",
                *(bench.ids.new(), job_id),
            )
            await connection.execute("ANALYZE")
            for name, arguments in (
                ("find_message", ["default", job_id]),
                (
                    "list_jobs_of_message",
                    ["default", job_id, None, None, None, None, False, 50],
                ),
            ):
                plan = await explain(connection, name, arguments, plans=plans)
                assert max(map(touched, plan)) <= 4, name

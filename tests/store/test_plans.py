"""The cost of the statements per delivery does not grow with the number of jobs."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import orjson
import pytest

from delivery.store.queue import FIRST_LANE
from delivery.store.statements import statement
from tests.support.queues import opened, succeeded

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from uuid import UUID

    from delivery.store.driver.connection import Connection
    from tests.support.queues import Bench

pytestmark = pytest.mark.anyio

BACKLOG = 20_000
LANES = 10
BATCH = 200
SMALL = {"lane_limits", "held_slots", "leases"}
"""Tables with rows only for limited lanes and running jobs, which may be scanned while small."""


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield a node of a plan and all its descendants."""
    yield plan
    for below in plan.get("Plans", ()):
        yield from nodes(below)


def literal(value: Any) -> str:
    """Write a parameter for EXECUTE."""
    if value is None:
        return "NULL"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (int, float)):
        return str(value)
    if isinstance(value, (list, tuple)):
        return "'{" + ",".join(str(each) for each in value) + "}'"
    return f"'{value}'"


async def explain(
    connection: Connection, name: str, arguments: Sequence[Any], *, plans: str
) -> list[dict[str, Any]]:
    """Run a statement, roll it back, and return the nodes of its plan with their row counts."""
    transaction = connection.transaction()
    await transaction.start()
    try:
        await connection.execute(f"SET LOCAL plan_cache_mode = {plans}")
        await connection.execute(f"PREPARE explained AS {statement(name)}")
        given = ", ".join(literal(argument) for argument in arguments)
        (row,) = await connection.fetch(
            f"EXPLAIN (ANALYZE, FORMAT JSON) EXECUTE explained ({given})"
        )
        (explained,) = orjson.loads(row[0])
        assert "JIT" not in explained, "compiling the plan would take longer than running it"
        return list(nodes(explained["Plan"]))
    finally:
        await transaction.rollback()
        await connection.execute("DEALLOCATE ALL")


def assert_bounded(plan: list[dict[str, Any]], rows: int) -> None:
    """Assert that no node reads more rows than the batch has, or scans a growing table."""
    for node in plan:
        label = f"{node['Node Type']} {node.get('Relation Name', '')}"
        touched = (node["Actual Rows"] + node.get("Rows Removed by Filter", 0)) * node[
            "Actual Loops"
        ]
        assert touched <= rows, f"{label} touches {touched} rows"
        # Partitions of other days are empty here, and plans expire soon: see `open_pool`.
        if touched and node["Node Type"] in {"Seq Scan", "Bitmap Heap Scan"}:
            assert node["Relation Name"] in SMALL, f"{label} reads a table that grows"


async def filled(bench: Bench) -> list[UUID]:
    """Write due jobs and future jobs in several lanes."""
    await bench.pool.execute(
        "INSERT INTO delivery.reactions"
        " (id, tenant_id, name, event_types, priority, state, version)"
        " SELECT gen_random_uuid(), 'other', 'other', '{x}', 100, 'enabled', 1"
        " FROM generate_series(1, 2000)"
    )
    lanes = [bench.reaction_id, *[await bench.add_reaction() for _ in range(LANES - 1)]]
    for lane in lanes:
        await bench.enqueue(BACKLOG // LANES // 2, reaction_id=lane)
        tomorrow = datetime.now(UTC) + timedelta(days=1)
        await bench.enqueue(BACKLOG // LANES // 2, reaction_id=lane, run_at=tomorrow)
    return lanes


@pytest.mark.parametrize("plans", ["force_custom_plan", "force_generic_plan"])
@pytest.mark.parametrize("analyzed", [True, False])
async def test_a_claim_reads_only_the_claimed_jobs(
    database_url: str, *, plans: str, analyzed: bool
) -> None:
    async with opened(database_url) as bench:
        lanes = await filled(bench)
        async with bench.pool.acquire() as connection:
            if analyzed:
                await connection.execute("ANALYZE")
            each = BATCH // len(lanes)
            plan = await explain(
                connection,
                "claim",
                [
                    bench.ids.new(),
                    bench.worker_id,
                    lanes,
                    [100] * len(lanes),
                    [each] * len(lanes),
                    [0.0] * len(lanes),
                    False,
                    BATCH,
                ],
                plans=plans,
            )
        assert plan[0]["Actual Rows"] == BATCH
        assert_bounded(plan, BATCH)
        scans = [node for node in plan if node.get("Relation Name") == "waiting_jobs"]
        assert {node["Node Type"] for node in scans} <= {
            "Index Scan",
            "Index Only Scan",
            "Tid Scan",
            "ModifyTable",
        }


@pytest.mark.parametrize("plans", ["force_custom_plan", "force_generic_plan"])
async def test_a_sweep_takes_one_step_per_lane_for_any_number_of_jobs(
    database_url: str, plans: str
) -> None:
    async with opened(database_url) as bench:
        await filled(bench)
        async with bench.pool.acquire() as connection:
            plan = await explain(connection, "find_lanes", [*FIRST_LANE, 500], plans=plans)
        assert_bounded(plan, LANES + 1)


@pytest.mark.parametrize("plans", ["force_custom_plan", "force_generic_plan"])
async def test_reading_limited_lanes_takes_one_step_per_lane(database_url: str, plans: str) -> None:
    async with opened(database_url) as bench:
        lanes = await filled(bench)
        async with bench.pool.acquire() as connection:
            plan = await explain(connection, "read_lane_states", [lanes], plans=plans)
        assert_bounded(plan, LANES)


@pytest.mark.parametrize("plans", ["force_custom_plan", "force_generic_plan"])
async def test_settling_reads_only_the_settled_jobs(database_url: str, plans: str) -> None:
    async with opened(database_url) as bench:
        await filled(bench)
        lease_id, jobs = await bench.claim(BATCH)
        rows = ",".join(
            f"ROW({', '.join(literal(value) for value in succeeded(bench, lease_id, job))})"
            for job in jobs
        )
        async with bench.pool.acquire() as connection:
            transaction = connection.transaction()
            await transaction.start()
            await connection.execute(f"SET LOCAL plan_cache_mode = {plans}")
            await connection.execute(f"PREPARE explained AS {statement('settle')}")
            (row,) = await connection.fetch(
                "EXPLAIN (ANALYZE, FORMAT JSON) EXECUTE explained"
                f" ('{bench.worker_id}', '{{{lease_id}}}',"
                f" ARRAY[{rows}]::delivery.settlement_v1[], -1)"
            )
            await transaction.rollback()
        (explained,) = orjson.loads(row[0])
        assert "JIT" not in explained
        assert_bounded(list(nodes(explained["Plan"])), BATCH * 2)


async def test_autovacuum_ignores_tiny_partitions(
    database_url: str,
) -> None:
    async with opened(database_url) as bench:
        options = await bench.pool.fetch(
            "SELECT reloptions FROM pg_class JOIN pg_inherits ON inhrelid = oid"
            " WHERE relkind = 'r' AND relnamespace = 'delivery'::regnamespace"
        )
    assert len(options) >= 8
    for (reloptions,) in options:
        assert "autovacuum_analyze_threshold=10000" in reloptions
        assert "autovacuum_vacuum_threshold=10000" in reloptions
        assert "autovacuum_vacuum_insert_threshold=10000" in reloptions

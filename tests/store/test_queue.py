"""Claims take each job once, in order, by lane, and settling is fenced by the lease."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import anyio
import pytest

from delivery.errors import ValueRefused
from delivery.lifecycle import stored_transitions
from delivery.models import DeliveryLog, JobStatus
from delivery.store import jobs, leases, logs, queue
from delivery.store.queue import FIRST_LANE
from delivery.store.settlements import settle
from tests.support.queues import opened, succeeded

if TYPE_CHECKING:
    from delivery.store.driver.connection import Pool

pytestmark = pytest.mark.anyio


async def test_fifty_concurrent_claimers_claim_each_job_once(database_url: str) -> None:
    async with opened(database_url) as bench:
        await bench.enqueue(5_000)
        await bench.enqueue(5_000)
        taken: list[object] = []

        async def claimer() -> None:
            while True:
                _, got = await bench.claim(37)
                taken.extend(job.job_id for job in got)
                if not got and not await queue.find_lanes(bench.pool, FIRST_LANE, 10):
                    return

        async with anyio.create_task_group() as group:
            for _ in range(50):
                group.start_soon(claimer)
        assert len(taken) == 10_000
        assert len(set(taken)) == 10_000


async def test_jobs_of_a_lane_are_claimed_by_due_time_and_id(
    database_url: str,
) -> None:
    async with opened(database_url) as bench:
        later = await bench.enqueue(20)
        earlier = await bench.enqueue(5, run_at=datetime.now(UTC) - timedelta(hours=1))
        _, taken = await bench.claim(7)
        assert [job.job_id for job in taken] == earlier + later[:2]
        _, rest = await bench.claim(100)
        assert [job.job_id for job in rest] == later[2:]


async def test_a_quota_is_never_exceeded(database_url: str) -> None:
    async with opened(database_url) as bench:
        other = await bench.add_reaction()
        await bench.enqueue(50)
        await bench.enqueue(50, reaction_id=other)
        taken, _ = await queue.claim(
            bench.pool,
            bench.ids.new(),
            bench.worker_id,
            [((bench.reaction_id, 100), 7), ((other, 100), 3)],
            {},
        )
        assert sorted(
            [sum(job.lane == lane for job in taken) for lane in (bench.reaction_id, other)]
        ) == [3, 7]


async def test_a_future_job_is_not_claimed_and_its_lane_has_its_due_time(
    database_url: str,
) -> None:
    async with opened(database_url) as bench:
        await bench.enqueue(1, run_at=datetime.now(UTC) + timedelta(seconds=300))
        lease_id, taken = await bench.claim(10)
        assert taken == []
        assert await leases.owned_by(bench.pool, bench.worker_id) == set(), "no lease for nothing"
        (lane,) = await queue.find_lanes(bench.pool, FIRST_LANE, 10)
        assert lane.key == (bench.reaction_id, 100)
        assert 200 < lane.due_in <= 300
        del lease_id


async def test_lanes_are_found_by_priority_and_page_by_page(database_url: str) -> None:
    async with opened(database_url) as bench:
        lanes = {bench.reaction_id} | {await bench.add_reaction() for _ in range(4)}
        for lane in lanes:
            await bench.enqueue(3, reaction_id=lane, priority=5)
            await bench.enqueue(3, reaction_id=lane, priority=9)
        found = []
        cursor = FIRST_LANE
        while page := await queue.find_lanes(bench.pool, cursor, 3):
            found += [lane.key for lane in page]
            cursor = page[-1].key
        assert found == sorted(found)
        assert set(found) == {(lane, priority) for lane in lanes for priority in (5, 9)}


async def test_repeated_settling_changes_nothing(database_url: str) -> None:
    async with opened(database_url) as bench:
        (job_id,) = await bench.enqueue(1)
        lease_id, (job,) = await bench.claim(1)
        settlement = succeeded(bench, lease_id, job)
        assert (await settle(bench.pool, bench.worker_id, [settlement], [lease_id])).jobs == 1
        assert (await settle(bench.pool, bench.worker_id, [settlement], [lease_id])).jobs == 0
        page = await _logs_of(bench.pool, job_id)
        assert [log.outcome for log in page] == ["succeeded"]
        settled = await jobs.get(bench.pool, job_id, "default")
        assert settled is not None
        assert settled.status is JobStatus.SUCCEEDED
        assert settled.attempt == 1
        assert await leases.owned_by(bench.pool, bench.worker_id) == set()


async def test_a_result_without_a_lease_changes_nothing_and_is_logged_as_late(
    database_url: str,
) -> None:
    async with opened(database_url) as bench:
        (job_id,) = await bench.enqueue(1)
        lease_id, (job,) = await bench.claim(1)
        stranger = bench.ids.new()
        assert (await settle(bench.pool, stranger, [succeeded(bench, lease_id, job)], [])).jobs == 0
        still = await jobs.get(bench.pool, job_id, "default")
        assert still is not None
        assert still.status is JobStatus.RUNNING
        assert still.locked_by == bench.worker_id
        assert [log.outcome for log in await _logs_of(bench.pool, job_id)] == ["late"]


async def test_a_retry_returns_to_its_lane_with_its_due_time(database_url: str) -> None:
    async with opened(database_url) as bench:
        (job_id,) = await bench.enqueue(1)
        lease_id, (job,) = await bench.claim(1)
        due = (datetime.now(UTC) + timedelta(seconds=300)).timestamp()
        retry = succeeded(
            bench,
            lease_id,
            job,
            status="retrying",
            outcome="retried",
            run_at=due,
            failure_kind="http_status",
            status_code=503,
        )
        await settle(bench.pool, bench.worker_id, [retry], [lease_id])
        waiting = await jobs.get(bench.pool, job_id, "default")
        assert waiting is not None
        assert waiting.status is JobStatus.RETRYING
        assert abs(waiting.run_at.timestamp() - due) < 0.001
        (lane,) = await queue.find_lanes(bench.pool, FIRST_LANE, 10)
        assert 200 < lane.due_in <= 300
        assert waiting.finished_at is None


async def test_the_database_refuses_illegal_transitions(
    database_url: str,
) -> None:
    stored = [status for status in JobStatus if status is not JobStatus.RUNNING]
    change = "UPDATE delivery.jobs SET status = $2::text::delivery.job_status WHERE id = $1"
    async with opened(database_url) as bench, bench.pool.acquire() as connection:
        (job_id,) = await bench.enqueue(1)
        for source, target in itertools.product(stored, stored):
            await connection.execute("ALTER TABLE delivery.jobs DISABLE TRIGGER USER")
            await connection.execute(change, job_id, source.value)
            await connection.execute("ALTER TABLE delivery.jobs ENABLE TRIGGER USER")
            if source is target or (source, target) in stored_transitions():
                await connection.execute(change, job_id, target.value)
            else:
                with pytest.raises(ValueRefused, match="cannot go from"):
                    await connection.execute(change, job_id, target.value)


async def _logs_of(pool: Pool, job_id: object) -> list[DeliveryLog]:
    return await logs.list_page(
        pool,
        tenant_id="default",
        after=None,
        job_id=job_id,  # type: ignore[arg-type]
        trigger_id=None,
        reaction_id=None,
        outcome=None,
        status_code=None,
        oldest_first=True,
        limit=10,
        max_body=100,
    )


async def test_a_log_has_the_lane_of_a_direct_job_and_no_copy_of_a_reaction_s_id(
    database_url: str,
) -> None:
    async with opened(database_url) as bench:
        await bench.enqueue(1)
        lease_id, (job,) = await bench.claim(1)
        results = [succeeded(bench, lease_id, job)]
        results.append(results[0]._replace(reaction_id=None, log_id=bench.ids.new()))
        for result in results:
            await settle(bench.pool, bench.worker_id, [result], [])
        stored = await bench.pool.fetch("SELECT lane FROM delivery.delivery_logs ORDER BY id")
        read = await bench.pool.fetch("SELECT lane FROM delivery.logs_with_body ORDER BY id")
    assert [row["lane"] for row in stored] == [None, job.lane]
    assert [row["lane"] for row in read] == [job.lane, job.lane]

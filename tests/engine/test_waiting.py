"""Waiting for jobs and triggers ends when they are finished, or says why they are not."""

from __future__ import annotations

import asyncio
import pickle
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

import pytest

from delivery import CircuitState, JobStatus, JobTimeout, NotFound, ReactionHealth, TriggerState
from delivery.lifecycle import TERMINAL, trigger_state
from delivery.models import Job
from delivery.service.wait_reasons import explain_delay
from delivery.testing import Receiver, Respond
from tests.support.conditions import until
from tests.support.engines import QUICK_RETRIES, engine_on

if TYPE_CHECKING:
    from typing import Any

pytestmark = pytest.mark.anyio

SLOW_RETRIES = {"base": 60, "jitter": 0, "max_attempts": 5}
NOW = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)


def job(**changes: Any) -> Job:
    """Return a new job."""
    values: dict[str, Any] = dict.fromkeys(Job.__slots__)
    values |= {
        "id": UUID(int=1),
        "tenant_id": "default",
        "status": JobStatus.QUEUED,
        "attempt": 0,
        "max_attempts": 10,
        "run_at": NOW,
    }
    return Job(**(values | changes))


async def test_a_wait_without_a_worker_says_that_none_runs_and_how_to_start_one(
    database_url: str,
) -> None:
    async with engine_on(database_url) as engine:
        await engine.reactions.create(name="r", url="https://example.com/")
        trigger = await engine.trigger("a", {})
        for waiting in (
            engine.jobs.wait(trigger.jobs[0], timeout=0.05),
            engine.triggers.wait(trigger.id, timeout=0.05),
        ):
            with pytest.raises(JobTimeout, match=r"no worker is running; start one with") as caught:
                await waiting
            assert "goes on" not in str(caught.value)
            error = caught.value
            assert error.living_workers == 0
            assert (error.job_id, error.status, error.attempt) == (trigger.jobs[0], "queued", 0)


async def test_a_wait_on_a_failing_endpoint_says_the_last_error_and_the_next_attempt(
    database_url: str,
) -> None:
    async with Receiver() as receiver, engine_on(database_url) as engine:
        url = receiver.endpoint("/bad", Respond(503))
        await engine.reactions.create(name="r", url=url, retry=SLOW_RETRIES)
        trigger = await engine.trigger("a", {})
        (job_id,) = trigger.jobs
        async with engine.workers():

            async def failed_once() -> bool:
                return (await engine.jobs.get(job_id)).status is JobStatus.RETRYING

            await until(failed_once)
            with pytest.raises(JobTimeout) as of_job:
                await engine.jobs.wait(job_id, timeout=0.05)
            with pytest.raises(JobTimeout) as of_trigger:
                await engine.triggers.wait(trigger.id, timeout=0.05)
        stored = await engine.jobs.get(job_id)
    for caught in (of_job, of_trigger):
        error = caught.value
        assert "attempt 1 of 5 failed: HTTP 503" in str(error)
        assert f"the next attempt is due at {stored.run_at:%Y-%m-%d %H:%M:%S} UTC, in " in str(
            error
        )
        assert (error.attempt, error.max_attempts, error.status_code) == (1, 5, 503)
        assert (error.last_error, error.failure_kind) == ("HTTP 503", "http_status")
        assert error.next_attempt_at == stored.run_at
        assert error.living_workers == 1
    assert of_trigger.value.trigger_id == trigger.id
    assert "1 of 1 job was not finished within 0.05 s" in str(of_trigger.value)
    copied = pickle.loads(pickle.dumps(of_job.value))
    assert copied.details() == of_job.value.details()


async def test_a_trigger_is_waited_for_until_all_of_its_jobs_are_finished(
    database_url: str,
) -> None:
    async with Receiver() as receiver, engine_on(database_url) as engine:
        good = receiver.endpoint("/good", Respond(200, delay=0.1))
        bad = receiver.endpoint("/bad", Respond(500))
        for name, url in (("a", good), ("b", bad), ("c", good)):
            await engine.reactions.create(name=name, url=url, retry=QUICK_RETRIES)
        trigger = await engine.trigger("x", {})
        before = await engine.triggers.status(trigger.id)
        async with engine.workers():
            jobs = await engine.triggers.wait(trigger.id, timeout=60)
        after = await engine.triggers.status(trigger.id)
    assert (before.state, before.jobs, dict(before.counts)) == (
        TriggerState.PENDING,
        3,
        {JobStatus.QUEUED: 3},
    )
    assert tuple(each.id for each in jobs) == trigger.jobs
    assert {each.status for each in jobs} == {JobStatus.SUCCEEDED, JobStatus.FAILED}
    assert (after.state, after.jobs) == (TriggerState.MIXED, 3)
    assert after.counts == {JobStatus.SUCCEEDED: 2, JobStatus.FAILED: 1}


async def test_a_trigger_that_another_process_delivers_is_waited_for(database_url: str) -> None:
    """The two engines share only the database."""
    async with (
        Receiver() as receiver,
        engine_on(database_url) as waiting,
        engine_on(database_url) as working,
    ):
        url = receiver.endpoint("/")
        await waiting.reactions.create(name="r", url=url)
        trigger = await waiting.trigger("x", {})
        wait = asyncio.create_task(waiting.triggers.wait(trigger.id, timeout=60))
        async with working.workers():
            (job,) = await wait
    assert job.status is JobStatus.SUCCEEDED


async def test_a_trigger_of_more_jobs_than_a_page_is_waited_for(database_url: str) -> None:
    async with Receiver() as receiver, engine_on(database_url) as engine:
        url = receiver.endpoint("/")
        for number in range(205):
            await engine.reactions.create(name=str(number), url=url)
        trigger = await engine.trigger("x", {})
        async with engine.workers():
            jobs = await engine.triggers.wait(trigger.id, timeout=60)
    assert tuple(each.id for each in jobs) == trigger.jobs
    assert len(jobs) == 205


async def test_a_trigger_without_jobs_is_finished_immediately(database_url: str) -> None:
    async with engine_on(database_url) as engine:
        trigger = await engine.trigger("x", {})
        assert await engine.triggers.wait(trigger.id, timeout=30) == ()
        status = await engine.triggers.status(trigger.id)
    assert (status.state, status.jobs, dict(status.counts)) == (TriggerState.NO_JOBS, 0, {})


async def test_the_statuses_of_many_triggers_are_read_together(database_url: str) -> None:
    async with engine_on(database_url) as engine:
        await engine.reactions.create(name="r", event_types=["a"], url="https://example.com/")
        written = [await engine.trigger(kind, {}) for kind in ("a", "b", "a")]
        statuses = await engine.triggers.statuses(written)
        assert await engine.triggers.statuses([]) == ()
    assert [status.trigger_id for status in statuses] == [each.id for each in written]
    assert [status.state for status in statuses] == [
        TriggerState.PENDING,
        TriggerState.NO_JOBS,
        TriggerState.PENDING,
    ]


async def test_the_id_of_a_trigger_in_place_of_a_job_is_recognised(database_url: str) -> None:
    async with engine_on(database_url) as engine:
        await engine.reactions.create(name="r", url="https://example.com/")
        trigger = await engine.trigger("x", {})
        for reading in (engine.jobs.get(trigger.id), engine.jobs.wait(trigger.id, timeout=30)):
            with pytest.raises(NotFound, match=r"it is the id of a trigger: use triggers\.wait"):
                await reading
        with pytest.raises(NotFound, match="there is no trigger"):
            await engine.triggers.wait(uuid4())
        with pytest.raises(NotFound, match="there is no trigger"):
            await engine.triggers.status(uuid4())
        with pytest.raises(NotFound, match="there is no trigger"):
            await engine.triggers.status(trigger.id, tenant_id="other")


def test_the_state_of_a_trigger_follows_from_its_jobs() -> None:
    assert trigger_state({}) is TriggerState.NO_JOBS
    for status in JobStatus:
        state = trigger_state({JobStatus.CANCELED: 0} | {status: 2})
        assert state == (status.value if status in TERMINAL else "pending")
        if status is not JobStatus.SUCCEEDED:
            both = trigger_state({status: 1, JobStatus.SUCCEEDED: 1})
            assert both == ("mixed" if status in TERMINAL else "pending")


@pytest.mark.parametrize(
    ("late", "living", "health", "text"),
    [
        (job(), 0, None, "no worker is running; start one with `delivery worker`"),
        (job(), 2, None, "the first attempt is due and waits for a worker"),
        (
            job(run_at=NOW + timedelta(seconds=90)),
            1,
            None,
            "the first attempt is due at 2026-03-01 12:01:30 UTC, in 90 s",
        ),
        (
            job(status=JobStatus.RUNNING, attempt=2, error="no response"),
            1,
            None,
            "attempt 2 of 10 is under way; attempt 1 of 10 failed: no response",
        ),
        (
            job(status=JobStatus.RETRYING, attempt=3, error="closed", status_code=None),
            None,
            ReactionHealth(CircuitState.OPEN, 12, NOW, NOW + timedelta(seconds=30)),
            (
                "attempt 3 of 10 failed: closed;"
                " its reaction is paused until 2026-03-01 12:00:30 UTC, in 30 s"
            ),
        ),
        (
            job(status=JobStatus.RETRYING, attempt=3, error="closed"),
            1,
            ReactionHealth(CircuitState.HALF_OPEN, 12, NOW, None),
            (
                "attempt 3 of 10 failed: closed;"
                " the circuit of its reaction is half_open after 12 calls that failed"
            ),
        ),
    ],
)
def test_why_a_job_is_late_is_said_in_a_few_words(
    late: Job, living: int | None, health: ReactionHealth | None, text: str
) -> None:
    assert explain_delay(late, living, health, NOW) == text

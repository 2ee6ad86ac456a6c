"""`engine.on`: the events of the workers of this process."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from delivery import (
    FailureKind,
    InvalidInput,
    JobsSettled,
    JobStatus,
    ReactionHealthChanged,
    SettledJob,
    TriggerRequest,
)
from delivery.testing import Receiver, Respond
from tests.support.engines import QUICK_RETRIES, engine_on, wait_for_all
from tests.support.raw_servers import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.anyio


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with Receiver(default=Respond()) as running:
        yield running


async def test_every_settled_job_is_reported_with_its_result(
    database_url: str, receiver: Receiver
) -> None:
    receiver.endpoint("/bad", Respond(503))
    settled: list[SettledJob] = []
    async with engine_on(database_url) as engine:
        good = await engine.reactions.create(name="good", url=receiver.url("/good"))
        bad = await engine.reactions.create(
            name="bad", url=receiver.url("/bad"), retry={**QUICK_RETRIES, "max_attempts": 2}
        )
        unsubscribe = engine.on(JobsSettled, lambda event: settled.extend(event.jobs))
        trigger = await engine.trigger("x", 1)
        async with engine.workers():
            await wait_for_all(engine, trigger.jobs)
            unsubscribe()
            later = await engine.trigger("x", 2)
            await wait_for_all(engine, later.jobs)
    assert {job.trigger_id for job in settled} == {trigger.id}
    (succeeded,) = (job for job in settled if job.reaction_id == good.id)
    assert (succeeded.status, succeeded.status_code) == (JobStatus.SUCCEEDED, 200)
    assert succeeded.duration_ms is not None
    retrying, failed = (job for job in settled if job.reaction_id == bad.id)
    assert (retrying.status, retrying.attempt) == (JobStatus.RETRYING, 1)
    assert retrying.run_at is not None
    assert (failed.status, failed.exhausted, failed.run_at) == (JobStatus.FAILED, True, None)
    assert failed.failure_kind is FailureKind.HTTP_STATUS
    assert failed.tenant_id == "default"


async def test_failing_and_slow_listeners_do_not_disturb_deliveries(
    database_url: str, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    counts = {"asynchronous": 0}

    def fail(event: JobsSettled) -> None:
        raise LookupError(len(event.jobs))

    async with engine_on(database_url) as engine:

        async def count(event: JobsSettled) -> None:
            for job in event.jobs:
                await engine.jobs.get(job.job_id)
            counts["asynchronous"] += len(event.jobs)

        await engine.reactions.create(name="r", url=receiver.url("/r"))
        engine.on(JobsSettled, fail)
        engine.on(JobsSettled, count)
        triggers = await engine.trigger_many([TriggerRequest("x", n) for n in range(50)])
        async with engine.workers():
            jobs = [job for trigger in triggers for job in trigger.jobs]
            done = await wait_for_all(engine, jobs)
            await until(lambda: counts["asynchronous"] == 50)
    assert {job.status for job in done} == {JobStatus.SUCCEEDED}
    assert "LookupError" in caplog.text


async def test_changes_of_endpoint_health_are_reported(
    database_url: str, receiver: Receiver
) -> None:
    receiver.endpoint("/gone", Respond(410))
    changes: list[ReactionHealthChanged] = []
    async with engine_on(database_url) as engine:
        reaction = await engine.reactions.create(name="r", url=receiver.url("/gone"))
        engine.on(ReactionHealthChanged, changes.append)
        trigger = await engine.trigger("x", 1)
        async with engine.workers():
            await wait_for_all(engine, trigger.jobs)
            await until(lambda: bool(changes))
    (change,) = changes
    assert (change.reaction_id, change.tenant_id, change.name) == (reaction.id, "default", "r")
    assert change.type == "reaction.disabled"


async def test_only_public_event_types_and_functions_are_accepted(database_url: str) -> None:
    wrong: list[tuple[Any, Any, str]] = [
        (int, print, "use one of JobsSettled, ReactionHealthChanged"),
        ("JobsSettled", print, "use one of JobsSettled, ReactionHealthChanged"),
        (JobsSettled, None, "the listener is a NoneType"),
    ]
    async with engine_on(database_url) as engine:
        for event_type, listener, message in wrong:
            with pytest.raises(InvalidInput, match=message):
                engine.on(event_type, listener)

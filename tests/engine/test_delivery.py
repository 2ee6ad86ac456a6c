"""Delivery from the trigger to the log: requests, log rows, and the states of jobs."""

from __future__ import annotations

import itertools
import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import anyio
import pytest
from standardwebhooks import Webhook

from delivery import JobStatus, Outcome, ReactionState, TriggerRequest
from delivery.testing import Drop, FailFirst, Hang, Receiver, Respond
from tests.support.engines import QUICK_RETRIES, SECRET, all_logs, engine_on, wait_for_all

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.anyio


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with Receiver(default=Respond(200, body=b"thanks")) as running:
        yield running


@pytest.mark.parametrize("notifications", [True, False])
async def test_a_trigger_reaches_every_matching_reaction_signed_and_logged(
    database_url: str, receiver: Receiver, *, notifications: bool
) -> None:
    async with engine_on(database_url, notifications=notifications) as engine:
        for name, types in (("a", ["order.paid"]), ("b", ["order.*"]), ("c", ["invoice.*"])):
            await engine.reactions.create(
                name=name, event_types=types, url=receiver.url(f"/{name}"), secret=SECRET
            )
        trigger = await engine.trigger("order.paid", {"total": 12})
        assert len(trigger.jobs) == 2
        async with engine.workers():
            jobs = await wait_for_all(engine, trigger.jobs)
        assert [job.status for job in jobs] == [JobStatus.SUCCEEDED] * 2
        assert receiver.count() == 2
        for request in receiver.received:
            assert json.loads(request.body) == {"total": 12}
            Webhook(SECRET).verify(request.body, dict(request.headers))
        logs = await all_logs(engine, trigger_id=trigger.id)
        assert {log.endpoint for log in logs} == {receiver.url("/a"), receiver.url("/b")}
        for log in logs:
            assert log.outcome is Outcome.SUCCEEDED
            assert log.status_code == 200
            assert log.attempt == 1
            assert log.request is not None
            assert log.request.body == b'{"total":12}'
            assert log.response is not None
            assert log.response.body == b"thanks"
            assert log.duration_ms is not None
            assert 0 < log.duration_ms < 15_000
            assert log.timings is not None
            assert log.timings.first_byte_ms is not None
            assert log.remote_address == f"127.0.0.1:{receiver.port}"
            assert log.worker_id is not None


async def test_a_payload_of_odd_json_arrives_byte_for_byte(
    database_url: str, receiver: Receiver
) -> None:
    odd = (
        '{"z":1,"a":9223372036854775809,"float":1e400,"nul":"\\u0000","deep":{"b":[],"a":{}},'
        '"emoji":"🦉","z":2,  "space" : true, "lone":"\\ud800", "f": 1.10}'
    ).encode()
    async with engine_on(database_url) as engine:
        await engine.reactions.create(name="odd", url=receiver.url("/odd"), secret=SECRET)
        trigger = await engine.trigger("odd", odd)
        async with engine.workers():
            await wait_for_all(engine, trigger.jobs)
        (request,) = receiver.received
        assert request.body == odd
        (log,) = await all_logs(engine)
        assert log.request is not None
        assert log.request.body == odd
        assert (await engine.triggers.get(trigger.id)).payload == odd


async def test_a_failing_call_comes_back_with_growing_delay_and_the_same_id(
    database_url: str, receiver: Receiver
) -> None:
    receiver.endpoint("/flaky", FailFirst(2))
    async with engine_on(database_url) as engine:
        await engine.reactions.create(
            name="flaky",
            url=receiver.url("/flaky"),
            retry={"base": 0.2, "factor": 3, "jitter": 0, "max_attempts": 3},
        )
        trigger = await engine.trigger("x", 1)
        async with engine.workers():
            (job,) = await wait_for_all(engine, trigger.jobs)
        assert job.status is JobStatus.SUCCEEDED, "success on the last attempt is success"
        assert job.attempt == 3
        assert not job.exhausted
        logs = await all_logs(engine, job_id=job.id)
        assert [log.outcome for log in logs] == ["retried", "retried", "succeeded"]
        assert [log.attempt for log in logs] == [1, 2, 3]
        pauses = [
            (later.created_at - earlier.created_at).total_seconds()
            for earlier, later in itertools.pairwise(logs)
        ]
        # The clocks of worker and server differ by a part of a round trip.
        assert pauses[0] > 0.1
        assert pauses[1] > 0.4
        assert len({request.header("webhook-id") for request in receiver.received}) == 1


async def test_a_job_that_used_up_its_attempts_is_dead(
    database_url: str, receiver: Receiver
) -> None:
    receiver.endpoint("/broken", Respond(500))
    receiver.endpoint("/silent", Drop())
    async with engine_on(database_url) as engine:
        for path in ("/broken", "/silent"):
            await engine.reactions.create(name=path, url=receiver.url(path), retry=QUICK_RETRIES)
        trigger = await engine.trigger("x", None)
        async with engine.workers():
            broken, silent = await wait_for_all(engine, trigger.jobs)
        for job, kind in ((broken, "http_status"), (silent, "transport")):
            assert job.status is JobStatus.FAILED
            assert job.exhausted
            assert job.attempt == 4
            assert job.failure_kind == kind
            assert len(await all_logs(engine, job_id=job.id)) == 4


async def test_a_response_of_410_disables_the_reaction_and_skips_waiting_jobs(
    database_url: str, receiver: Receiver
) -> None:
    receiver.endpoint("/gone", Respond(410))
    async with engine_on(database_url) as engine:
        reaction = await engine.reactions.create(name="gone", url=receiver.url("/gone"))
        first = await engine.trigger("x", 1)
        later = await engine.trigger("x", 2, delay=3_600)
        async with engine.workers():
            (job,) = await wait_for_all(engine, first.jobs)
        await engine._pool.execute("UPDATE delivery.waiting_jobs SET run_at = now()")
        async with engine.workers():
            (skipped,) = await wait_for_all(engine, later.jobs)
        assert job.status is JobStatus.FAILED
        assert job.failure_kind == "gone"
        assert skipped.status is JobStatus.SKIPPED
        assert skipped.error == "reaction_disabled"
        disabled = await engine.reactions.get(reaction.id)
        assert disabled.state is ReactionState.DISABLED
        assert disabled.state_reason is not None
        assert "410" in disabled.state_reason
        assert (await engine.trigger("x", 3)).jobs == ()
        assert receiver.count("/gone") == 1


async def test_a_delayed_job_waits_and_a_passed_deadline_ends_a_job_unsent(
    database_url: str, receiver: Receiver
) -> None:
    async with engine_on(database_url) as engine:
        await engine.reactions.create(name="r", url=receiver.url("/r"))
        start = datetime.now(UTC)
        delayed = await engine.trigger("x", 1, delay=0.6)
        late = await engine.trigger("x", 2, deadline=start + timedelta(hours=1))
        await engine._pool.execute(
            "UPDATE delivery.jobs SET deadline = now() - interval '1 second' WHERE id = $1",
            late.jobs[0],
        )
        async with engine.workers():
            (job,) = await wait_for_all(engine, delayed.jobs)
            (missed,) = await wait_for_all(engine, late.jobs)
        assert job.started_at is not None
        # The clocks of engine and server differ by a part of a round trip.
        assert job.started_at - start > timedelta(seconds=0.4)
        assert missed.status is JobStatus.FAILED
        assert missed.failure_kind == "deadline"
        assert missed.attempt == 0
        assert await all_logs(engine, job_id=missed.id) == []


async def test_lower_priority_numbers_of_a_reaction_go_first(
    database_url: str, receiver: Receiver
) -> None:
    async with engine_on(database_url) as engine:
        await engine.reactions.create(name="r", url=receiver.url("/r"), concurrency=1)
        for number in range(3):
            await engine.trigger("x", number, priority=200)
        urgent = await engine.trigger("x", "urgent", priority=1)
        async with engine.workers():
            await wait_for_all(engine, urgent.jobs)
            await receiver.wait_for(4)
        assert [json.loads(request.body) for request in receiver.received] == ["urgent", 0, 1, 2]


async def test_a_reactions_concurrency_is_never_exceeded(
    database_url: str, receiver: Receiver
) -> None:
    receiver.endpoint("/slow", Respond(delay=0.05))
    async with engine_on(database_url) as engine:
        await engine.reactions.create(name="slow", url=receiver.url("/slow"), concurrency=2)
        triggers = await engine.trigger_many([TriggerRequest("x", n) for n in range(10)])
        async with engine.workers():
            await wait_for_all(engine, [job for trigger in triggers for job in trigger.jobs])
        arrivals = sorted(request.received_at for request in receiver.received)
        # A call takes at least the receiver's delay, so a third one cannot come sooner.
        assert len(arrivals) == 10
        assert all(
            third - first > 0.045 for first, third in zip(arrivals, arrivals[2:], strict=False)
        )


async def test_a_direct_job_needs_no_reaction(database_url: str, receiver: Receiver) -> None:
    async with engine_on(database_url) as engine, engine.workers():
        job = await engine.jobs.create(
            url=receiver.url("/direct?a=1"),
            payload={"n": 1},
            method="PUT",
            headers={"X-Own": "1"},
            secret=SECRET,
        )
        assert job.trigger_id is None
        done = await engine.jobs.wait(job.id, timeout=60)
        assert done.status is JobStatus.SUCCEEDED
        (request,) = receiver.received
        assert request.method == "PUT"
        assert request.header("x-own") == "1"
        assert request.body == b'{"n":1}'
        (log,) = await all_logs(engine, job_id=job.id)
        assert log.request is not None
        assert log.request.body == b'{"n":1}'
        assert log.method == "PUT"


async def test_jobs_run_with_the_version_of_the_reaction_they_were_created_with(
    database_url: str, receiver: Receiver
) -> None:
    async with engine_on(database_url) as engine:
        reaction = await engine.reactions.create(name="r", url=receiver.url("/old"))
        before = await engine.trigger("x", 1)
        await engine.reactions.update(reaction.id, url=receiver.url("/new"))
        after = await engine.trigger("x", 2)
        async with engine.workers():
            await wait_for_all(engine, [*before.jobs, *after.jobs])
        assert receiver.count("/old") == 1
        assert receiver.count("/new") == 1


async def test_one_bad_stored_reaction_fails_its_own_jobs_only(
    database_url: str, receiver: Receiver
) -> None:
    async with engine_on(database_url) as engine:
        bad = await engine.reactions.create(name="bad", url=receiver.url("/bad"))
        await engine.reactions.create(name="good", url=receiver.url("/good"))
        await engine._pool.execute(
            "UPDATE delivery.reaction_versions SET credentials = 'not json' WHERE reaction_id = $1",
            bad.id,
        )
        trigger = await engine.trigger("x", 1)
        async with engine.workers():
            failed, succeeded = await wait_for_all(engine, trigger.jobs)
        assert failed.status is JobStatus.FAILED
        assert failed.failure_kind == "misconfigured"
        assert succeeded.status is JobStatus.SUCCEEDED


async def test_two_workers_share_ten_thousand_jobs_without_a_duplicate(
    database_url: str, receiver: Receiver
) -> None:
    async with engine_on(database_url) as first, engine_on(database_url) as second:
        for number in range(10):
            await first.reactions.create(name=str(number), url=receiver.url(f"/{number}"))
        triggers = await first.trigger_many([TriggerRequest("x", n) for n in range(1000)])
        async with first.workers(), second.workers():
            await receiver.wait_for(10_000, timeout=120)
            for trigger in triggers:
                await wait_for_all(first, trigger.jobs)
        assert receiver.count() == 10_000
        assert len(receiver.counts) == 10_000
        logs = await all_logs(first)
        assert len(logs) == 10_000
        assert {log.outcome for log in logs} == {Outcome.SUCCEEDED}
        assert len({log.worker_id for log in logs}) == 2, "both of them worked"


async def test_a_worker_that_stops_waits_for_its_calls_and_hands_the_rest_back(
    database_url: str, receiver: Receiver
) -> None:
    receiver.endpoint("/slow", Respond(delay=0.3))
    places = {"concurrency": 2, "shutdown_timeout": 300}
    async with engine_on(database_url, worker=places) as engine:
        await engine.reactions.create(name="slow", url=receiver.url("/slow"))
        triggers = await engine.trigger_many([TriggerRequest("x", n) for n in range(20)])
        jobs = [job for trigger in triggers for job in trigger.jobs]
        # Well within the five minutes that calls would be given.
        with anyio.fail_after(60):
            async with engine.workers():
                await receiver.wait_for(1)
        by_status = [(await engine.jobs.get(job)).status for job in jobs]
        assert by_status.count(JobStatus.SUCCEEDED) == receiver.count()
        assert by_status.count(JobStatus.QUEUED) == 20 - receiver.count()
        assert {(await engine.jobs.get(job)).attempt for job in jobs} <= {0, 1}
        async with engine.workers():
            await wait_for_all(engine, jobs)
        assert receiver.count() == 20, "nothing was sent twice"


async def test_a_call_cut_off_by_a_stop_goes_back_with_its_attempt_and_is_logged(
    database_url: str, receiver: Receiver
) -> None:
    receiver.endpoint("/slow", Respond(delay=300))
    async with engine_on(database_url, worker={"shutdown_timeout": 0}) as engine:
        await engine.reactions.create(name="slow", url=receiver.url("/slow"), retry=QUICK_RETRIES)
        trigger = await engine.trigger("x", 1)
        async with engine.workers():
            await receiver.wait_for(1)
        job = await engine.jobs.get(trigger.jobs[0])
        assert job.status is JobStatus.QUEUED
        (log,) = await all_logs(engine)
        assert log.outcome is Outcome.LOST
        assert log.attempt == 1
        receiver.endpoint("/slow", Respond(500))
        async with engine.workers():
            (done,) = await wait_for_all(engine, trigger.jobs)
        assert done.attempt == 5, "the attempt cut off does not count towards the four"
        attempts = [entry.attempt for entry in await all_logs(engine)]
        assert attempts == [1, 2, 3, 4, 5]


async def test_a_worker_that_stops_immediately_leaves_no_lease(
    database_url: str, receiver: Receiver
) -> None:
    receiver.endpoint("/hang", Hang())
    async with engine_on(database_url, worker={"shutdown_timeout": 0}) as engine:
        await engine.reactions.create(name="hang", url=receiver.url("/hang"))
        await engine.trigger_many([TriggerRequest("x", n) for n in range(300)])
        for _ in range(3):
            async with engine.workers():
                await receiver.wait_for(receiver.count() + 1)
            assert await engine._pool.fetchval("SELECT count(*) FROM delivery.leases") == 0
            assert await engine._pool.fetchval("SELECT count(*) FROM delivery.workers") == 0
            assert await engine._pool.fetchval("SELECT count(*) FROM delivery.waiting_jobs") == 300

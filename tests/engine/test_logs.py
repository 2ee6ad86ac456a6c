"""Contents of the delivery log, and reading it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio
import pytest

from delivery import InvalidInput, JobStatus, Outcome, TriggerRequest
from delivery.testing import Hang, Receiver, Respond
from tests.support.engines import QUICK_RETRIES, all_logs, engine_on, wait_for_all

if TYPE_CHECKING:
    from delivery import DeliveryLog

pytestmark = pytest.mark.anyio


async def test_long_bodies_are_cut_and_their_size_is_stored(database_url: str) -> None:
    answer = Respond(body=b"r" * 40_000)
    async with (
        Receiver(default=answer) as receiver,
        engine_on(database_url, log={"max_body": 1000}) as engine,
    ):
        await engine.reactions.create(name="payload", url=receiver.url("/a"))
        await engine.reactions.create(
            name="raw", url=receiver.url("/b"), body={"kind": "raw", "content": "x" * 5000}
        )
        trigger = await engine.trigger("x", "p" * 3000)
        async with engine.workers():
            await wait_for_all(engine, trigger.jobs)
        sizes = set()
        for log in await all_logs(engine):
            assert log.request is not None
            assert log.response is not None
            assert len(log.request.body) == 1000
            assert log.request.truncated
            assert (len(log.response.body), log.response.body_size) == (1000, 40_000)
            assert log.response.truncated
            sizes.add(log.request.body_size)
        assert sizes == {3002, 5000}
        assert {len(request.body) for request in receiver.received} == sizes, "sent whole"


async def test_binary_bodies_with_nul_bytes_are_stored_unchanged(database_url: str) -> None:
    binary = bytes(range(256))
    async with (
        Receiver(default=Respond(body=binary)) as receiver,
        engine_on(database_url) as engine,
    ):
        await engine.reactions.create(name="r", url=receiver.url("/r"))
        trigger = await engine.trigger("x", 1)
        async with engine.workers():
            await wait_for_all(engine, trigger.jobs)
        (log,) = await all_logs(engine)
        assert log.response is not None
        assert log.response.body == binary
        assert not log.response.truncated


async def test_long_heads_are_cut_at_the_limit_with_a_note(database_url: str) -> None:
    long = tuple((f"X-{number}", "y" * 1_000) for number in range(50))
    async with (
        Receiver(default=Respond(headers=long)) as receiver,
        engine_on(database_url, log={"max_head": 2_048}) as engine,
    ):
        await engine.reactions.create(name="r", url=receiver.url("/r"), headers=dict(long))
        trigger = await engine.trigger("x", 1)
        async with engine.workers():
            await wait_for_all(engine, trigger.jobs)
        (log,) = await all_logs(engine)
        assert log.outcome is Outcome.SUCCEEDED
        assert log.request is not None
        assert log.response is not None
        for message in (log.request, log.response):
            assert "more bytes of this head were not stored" in message.headers[-1][0]
        stored = await engine._pool.fetchrow(
            "SELECT length(request_head), length(response_head) FROM delivery.delivery_logs"
        )
        assert stored is not None
        assert max(stored) <= 2_048


async def test_a_transport_error_is_logged_with_the_whole_request(
    database_url: str, free_tcp_port: int
) -> None:
    async with engine_on(database_url) as engine:
        url = f"http://127.0.0.1:{free_tcp_port}/nobody"
        await engine.reactions.create(name="r", url=url, retry={"max_attempts": 1})
        trigger = await engine.trigger("x", {"a": 1})
        async with engine.workers():
            await wait_for_all(engine, trigger.jobs)
        (log,) = await all_logs(engine)
        assert log.outcome is Outcome.FAILED
        assert log.failure_kind == "transport"
        assert log.status_code is None
        assert log.response is None
        assert log.error is not None
        assert "refused" in log.error
        assert log.request is not None
        assert log.request.body == b'{"a":1}'
        assert ("Content-Length", "7") in log.request.headers
        assert log.endpoint == url


async def test_secrets_in_headers_and_query_are_not_stored(database_url: str) -> None:
    async with Receiver(default=Respond()) as receiver, engine_on(database_url) as engine:
        await engine.reactions.create(
            name="r",
            url=receiver.url("/r") + "?api_key=hunter2&page=3",
            headers={"Authorization": "Bearer hunter2", "X-Plain": "visible"},
        )
        trigger = await engine.trigger("x", 1)
        async with engine.workers():
            await wait_for_all(engine, trigger.jobs)
        (request,) = receiver.received
        assert request.header("authorization") == "Bearer hunter2"
        rows = await engine._pool.fetch("SELECT * FROM delivery.delivery_logs")
        assert "hunter2" not in repr(rows)
        assert "visible" in repr(rows)


async def test_logs_are_selected_by_filters_and_paged_in_order(
    database_url: str,
) -> None:
    async with Receiver(default=Respond()) as receiver, engine_on(database_url) as engine:
        receiver.endpoint("/bad", Respond(503))
        good = await engine.reactions.create(name="good", url=receiver.url("/good"))
        bad = await engine.reactions.create(
            name="bad", url=receiver.url("/bad"), retry=QUICK_RETRIES
        )
        triggers = await engine.trigger_many([TriggerRequest("x", n) for n in range(5)])
        async with engine.workers():
            for trigger in triggers:
                await wait_for_all(engine, trigger.jobs)
        assert len(await all_logs(engine)) == 5 + 5 * 4
        assert len(await all_logs(engine, reaction_id=good.id)) == 5
        assert len(await all_logs(engine, reaction_id=bad.id, outcome="failed")) == 5
        assert len(await all_logs(engine, status_code=503, outcome="retried")) == 15
        assert len(await all_logs(engine, trigger_id=triggers[0].id)) == 5
        assert len(await all_logs(engine, job_id=triggers[0].jobs[1])) == 4
        assert await all_logs(engine, tenant_id="other") == []

        newest: list[DeliveryLog] = []
        cursor = None
        while True:
            page = await engine.logs.list(limit=7, cursor=cursor)
            newest += page.items
            cursor = page.next_cursor
            if cursor is None:
                break
        oldest = await all_logs(engine)
        assert [log.id for log in newest] == [log.id for log in reversed(oldest)]
        assert await engine.logs.get(oldest[0].id) == oldest[0]
        with pytest.raises(InvalidInput, match="must be one of"):
            await engine.logs.list(outcome="splendid")


async def test_following_gives_every_new_row_once(database_url: str) -> None:
    async with Receiver(default=Respond()) as receiver, engine_on(database_url) as engine:
        await engine.reactions.create(name="r", url=receiver.url("/r"))
        seen: list[object] = []
        async with engine.workers(), anyio.create_task_group() as group:
            before = await engine.trigger("x", "before")
            await wait_for_all(engine, before.jobs)

            async def follow() -> None:
                async for log in engine.logs.follow():
                    seen.append(log.job_id)  # noqa: PERF401 - seen while it grows

            group.start_soon(follow)
            await anyio.sleep(0)
            triggers = []
            with anyio.fail_after(60):
                while len(seen) < 10:
                    triggers += [await engine.trigger("x", "after")]
                    await wait_for_all(engine, triggers[-1].jobs)
            group.cancel_scope.cancel()
        assert before.jobs[0] not in seen
        assert len(seen) == len(set(seen))


async def test_running_jobs_have_the_status_running_and_are_bounded(
    database_url: str,
) -> None:
    settings = {"concurrency": 3, "batch_size": 4, "shutdown_timeout": 0}
    async with (
        Receiver(default=Hang()) as receiver,
        engine_on(database_url, worker=settings) as engine,
    ):
        await engine.reactions.create(name="r", url=receiver.url("/r"))
        await engine.trigger_many([TriggerRequest("x", n) for n in range(50)])
        async with engine.workers() as worker:
            await receiver.wait_for(3)
            with anyio.fail_after(60):
                # As many calls as may be in flight, and one batch read ahead.
                while len((await engine.jobs.list(status="running")).items) < 3 + 4:
                    await anyio.sleep(0.01)
            running = (await engine.jobs.list(status="running")).items
            assert len(running) == 7
            assert {job.locked_by for job in running} == {worker.id}
            assert {job.attempt for job in running} == {1}
            assert len((await engine.jobs.list(status="queued")).items) == 43
            assert receiver.count() == 3
        assert not (await engine.jobs.list(status=JobStatus.RUNNING)).items


async def test_an_unknown_filter_is_refused(database_url: str) -> None:
    async with engine_on(database_url) as engine:
        with pytest.raises(InvalidInput, match="unknown filter 'job'; did you mean job_id"):
            await engine.logs.list(job="x")  # type: ignore[call-arg]
        with pytest.raises(InvalidInput, match="unknown filter 'nope'"):
            async for _ in engine.logs.iterate(nope=1):  # type: ignore[call-arg]
                pass

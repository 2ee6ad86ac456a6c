"""A process that may open few files loses no attempt, and blames no endpoint."""

from __future__ import annotations

import resource
from contextlib import AsyncExitStack, contextmanager
from functools import partial
from typing import TYPE_CHECKING

import pytest

from delivery import JobStatus, Outcome, TriggerRequest
from delivery.models import Exchange, FailureKind
from delivery.testing import Receiver, Respond
from tests.support.conditions import until
from tests.support.engines import QUICK_RETRIES, all_logs, engine_on, wait_for_all
from tests.support.raw_servers import OK, Connected, RawServer, answering, read_request, serving
from tests.support.worker_processes import WorkerProcess

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from uuid import UUID

    from delivery import Engine
    from delivery.http.request import Request

pytestmark = pytest.mark.anyio

WITH_64_FILES = ("/bin/sh", "-c", 'ulimit -n 64 && exec "$0" "$@"')


async def test_a_worker_with_64_files_uses_up_no_attempt(database_url: str) -> None:
    """Four origins by name and by number, slower than calls can be started."""
    async with AsyncExitStack() as stack:
        receivers = [
            await stack.enter_async_context(Receiver(default=Respond(delay=0.02))) for _ in range(4)
        ]
        engine = await stack.enter_async_context(engine_on(database_url))
        for number, receiver in enumerate(receivers):
            url = receiver.url(f"/{number}")
            if number % 2:
                url = url.replace("127.0.0.1", "localhost")
            await engine.reactions.create(name=str(number), url=url, retry=QUICK_RETRIES)
        triggers = await engine.trigger_many([TriggerRequest("x", n) for n in range(100)])
        jobs = [job for trigger in triggers for job in trigger.jobs]
        with WorkerProcess(database_url, *WITH_64_FILES) as worker:
            ended = await wait_for_all(engine, jobs)
            assert await worker.terminate() == 0
        assert [(job.status, job.attempt) for job in ended] == [(JobStatus.SUCCEEDED, 1)] * 400
        assert {log.outcome for log in await all_logs(engine)} == {Outcome.SUCCEEDED}
        assert sum(receiver.count() for receiver in receivers) == 400
        assert await engine._pool.fetchval("SELECT count(*) FROM delivery.reaction_health") == 0


async def test_a_limit_that_falls_under_a_running_worker_uses_up_no_attempt(
    database_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The bound that was set at the start is then too high: calls meet EMFILE."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    async with (
        Receiver(default=Respond()) as receiver,
        engine_on(database_url, worker={"dead_after": 30.0}, http={"keepalive": 0.1}) as engine,
    ):
        await engine.reactions.create(name="r", url=receiver.url("/r"), retry=QUICK_RETRIES)
        async with engine.workers():
            first = await engine.trigger("x", 1)
            await wait_for_all(engine, first.jobs)
            resource.setrlimit(resource.RLIMIT_NOFILE, (4, limits[1]))
            try:
                second = await engine.trigger("x", 2)
                engine._transport._close_all_idle()  # type: ignore[attr-defined]

                async def has_met_the_limit() -> bool:
                    return "lacks a resource" in caplog.text

                await until(has_met_the_limit)
            finally:
                resource.setrlimit(resource.RLIMIT_NOFILE, limits)
            (job,) = await wait_for_all(engine, second.jobs)
        assert (job.status, job.attempt) == (JobStatus.SUCCEEDED, 1)
        assert caplog.text.count("lacks a resource (Too many open files)") == 1
        assert len(await all_logs(engine)) == 2


ONE_ATTEMPT = {**QUICK_RETRIES, "max_attempts": 1}


@contextmanager
def files() -> Iterator[tuple[Callable[[], None], Callable[[], None]]]:
    """Yield a function that stops this process from opening files, and one that ends this."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)

    def limit_to(files: int) -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (files, limits[1]))

    try:
        yield partial(limit_to, 4), partial(limit_to, limits[0])
    finally:
        limit_to(limits[0])


async def lost(engine: Engine, job_id: UUID) -> bool:
    return Outcome.LOST in {log.outcome for log in await all_logs(engine, job_id=job_id)}


async def test_a_request_sent_on_a_connection_that_closes_is_logged_if_it_cannot_be_repeated(
    database_url: str,
) -> None:
    """The reused connection closes after the request, and there is no file for a new one."""
    with files() as (use_up, give_back):

        async def handler(server: RawServer, connected: Connected) -> None:
            while await read_request(server, connected):
                if len(server.requests) == 2:
                    use_up()
                    return
                await connected.send(OK)

        async with serving(handler) as server, engine_on(database_url) as engine:
            await engine.reactions.create(name="r", url=server.url, retry=ONE_ATTEMPT)
            async with engine.workers():
                await wait_for_all(engine, (await engine.trigger("x", 1)).jobs)
                (job_id,) = (await engine.trigger("x", 2)).jobs
                await until(lambda: lost(engine, job_id))
                give_back()
                (job,) = await wait_for_all(engine, [job_id])
            logs = await all_logs(engine, job_id=job_id)
    assert (job.status, job.attempt) == (JobStatus.SUCCEEDED, 2), "the lost one does not count"
    assert [log.outcome for log in logs] == [Outcome.LOST, Outcome.SUCCEEDED]
    assert "may have been received" in (logs[0].error or "")
    assert logs[0].reused
    assert len(server.requests) == 3, "each request has a row"


async def test_a_redirect_that_cannot_be_followed_for_lack_of_files_is_logged(
    database_url: str,
) -> None:
    with files() as (use_up, give_back):

        async def redirect(server: RawServer, connected: Connected) -> None:
            while await read_request(server, connected):
                if len(server.requests) == 1:
                    use_up()
                head = f"HTTP/1.1 307 Elsewhere\r\nLocation: {target.url}\r\n"
                await connected.send(f"{head}Content-Length: 0\r\n\r\n".encode())

        async with (
            serving(answering(OK)) as target,
            serving(redirect) as server,
            engine_on(database_url) as engine,
        ):
            await engine.reactions.create(name="r", url=server.url, redirects=1, retry=ONE_ATTEMPT)
            async with engine.workers():
                (job_id,) = (await engine.trigger("x", 1)).jobs
                await until(lambda: lost(engine, job_id))
                give_back()
                (job,) = await wait_for_all(engine, [job_id])
            logs = await all_logs(engine, job_id=job_id)
    assert (job.status, job.attempt) == (JobStatus.SUCCEEDED, 2), "the lost one does not count"
    assert [log.outcome for log in logs] == [Outcome.LOST, Outcome.SUCCEEDED]
    assert "after a redirect to" in (logs[0].error or "")
    assert (len(server.requests), len(target.requests)) == (2, 1)


class Short:
    """A transport on a machine that has no port left, until the test gives it some."""

    def __init__(self) -> None:
        self.asked = 0
        self.answers = False

    async def send(  # noqa: D102 - the protocol's
        self, request: Request
    ) -> Exchange:
        del request
        self.asked += 1
        if self.answers:
            return Exchange(status_code=200)
        return Exchange(failure_kind=FailureKind.LOCAL, error="no port is left")

    async def aclose(self) -> None:  # noqa: D102 - the protocol's
        pass


async def test_jobs_wait_with_their_attempts_while_something_is_short(database_url: str) -> None:
    transport = Short()
    async with engine_on(database_url, transport=transport) as engine:
        await engine.reactions.create(name="r", url="http://127.0.0.1:9/", retry=QUICK_RETRIES)
        async with engine.workers():
            triggers = await engine.trigger_many([TriggerRequest("x", n) for n in range(20)])
            jobs = [job for trigger in triggers for job in trigger.jobs]
            with pytest.raises(TimeoutError):
                await engine.jobs.wait(jobs[0], timeout=0.5)

            async def all_wait() -> bool:
                waiting = (await engine.jobs.list(status="queued")).items
                return len(waiting) == 20 and {job.attempt for job in waiting} == {0}

            await until(all_wait)
            assert transport.asked >= 1
            transport.answers = True
            ended = await wait_for_all(engine, jobs)
        assert {(job.status, job.attempt) for job in ended} == {(JobStatus.SUCCEEDED, 1)}

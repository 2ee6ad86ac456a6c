"""While PostgreSQL's notification queue is full, everything works but wake-ups."""

from __future__ import annotations

import logging
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import asyncpg
import pytest

from delivery import JobStatus, ReactionState, TriggerRequest
from delivery.store.notifications import listening
from delivery.testing import Receiver, Respond
from tests.support.conditions import until
from tests.support.databases import DatabaseServer, PrivateServer
from tests.support.engines import QUICK_RETRIES, engine_on, wait_for_all

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

pytestmark = pytest.mark.anyio


@pytest.fixture
def url(short_directory: Path) -> Iterator[str]:
    """A database on a server with the smallest notification queue there can be."""
    with (
        PrivateServer(short_directory, max_notify_queue_pages="64") as server,
        DatabaseServer(server.url).database() as url,
    ):
        yield url


async def _fill(connection: asyncpg.Connection[asyncpg.Record]) -> None:
    for number in range(1_000):
        try:
            await connection.execute("SELECT pg_notify('other', $1)", f"{number:07900}")
        except asyncpg.ProgramLimitExceededError:
            return
    pytest.fail("the notification queue did not become full")


@asynccontextmanager
async def full_queue(url: str) -> AsyncIterator[None]:
    """Fill the notification queue within the block."""
    listener, notifier = await asyncpg.connect(url), await asyncpg.connect(url)
    await listener.execute("LISTEN other")
    # Within a transaction a session takes nothing out of the queue.
    await listener.execute("BEGIN")
    await listener.execute("SELECT 1")
    await _fill(notifier)
    try:
        yield
        await _fill(notifier)
    finally:
        listener.terminate()
        await notifier.close()


async def test_triggers_callers_transactions_and_results_do_not_need_notifications(
    url: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with Receiver(default=Respond()) as receiver, engine_on(url) as engine:
        await engine.reactions.create(name="r", event_types=["x"], url=receiver.url("/x"))
        for path, status in (("/gone", 410), ("/fails", 500)):
            receiver.endpoint(path, Respond(status))
        retry = {**QUICK_RETRIES, "max_attempts": 2}
        gone = await engine.reactions.create(
            name="gone", event_types=["gone"], url=receiver.url("/gone")
        )
        await engine.reactions.create(
            name="fails", event_types=["fails"], url=receiver.url("/fails"), retry=retry
        )
        await engine.reactions.create(
            name="told",
            event_types=["job.exhausted", "reaction.disabled"],
            url=receiver.url("/told"),
        )
        connection = await asyncpg.connect(url)
        async with full_queue(url):
            with caplog.at_level(logging.WARNING, "delivery.queue.wakeups"):
                async with engine.workers():
                    trigger = await engine.trigger("x", 1)
                    many = await engine.trigger_many([TriggerRequest("x", n) for n in range(600)])
                    async with connection.transaction():
                        own = await engine.trigger("x", 2, connection=connection)
                        direct = await engine.jobs.create(
                            url=receiver.url("/direct"), connection=connection
                        )
                    failing = await engine.trigger("fails", 1)
                    await engine.trigger("gone", 1)
                    jobs = [*trigger.jobs, *own.jobs, direct.id]
                    jobs += [job for each in many for job in each.jobs]
                    done = await wait_for_all(engine, jobs)
                    (failed,) = await wait_for_all(engine, failing.jobs)
                    await receiver.wait_for(2, path="/told")
        assert {job.status for job in done} == {JobStatus.SUCCEEDED}
        assert failed.status is JobStatus.FAILED
        assert failed.exhausted
        assert (await engine.reactions.get(gone.id)).state is ReactionState.DISABLED
        warnings = [each for each in caplog.records if "cannot notify" in each.getMessage()]
        assert len(warnings) == 1, "logged once for as long as it lasts"
        await connection.close()


async def test_other_processes_are_notified_again_once_the_queue_has_room(url: str) -> None:
    heard: list[str] = []
    async with engine_on(url) as engine:
        await engine.reactions.create(name="r", url="http://127.0.0.1:9/")
        async with full_queue(url):
            await engine.trigger("x", 1)

            async def has_failed() -> bool:
                return engine._waker._failing

            await until(has_failed)

        async def has_heard() -> bool:
            return bool(heard)

        async with listening(url, heard.append, timeout=30):
            await engine.trigger("x", 2)
            await until(has_heard)

"""Hostile receivers get one log row each, and do not affect others."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

import psutil
import pytest

from delivery import FailureKind, JobStatus, Outcome, TriggerRequest
from delivery.testing import Receiver, Respond
from tests.support.engines import all_logs, engine_on, wait_for_all
from tests.support.hostile_servers import HOSTILE, serving_hostile
from tests.support.raw_servers import answering, serving, unanswering_port

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable

    from delivery import DeliveryLog, Engine
    from tests.support.raw_servers import RawServer

pytestmark = pytest.mark.anyio

ONCE: Final = {"max_attempts": 1}
QUICK: Final = 2.0
"""Timeout in which a slow machine, too, reads the first bytes of a response."""
LONG: Final = 120.0
"""Timeout of calls that must not time out."""
HEALTHY: Final = 300
MEGABYTE: Final = 1_000_000


@asynccontextmanager
async def hostile_engine(
    database_url: str, names: Iterable[str]
) -> AsyncIterator[tuple[Engine, dict[str, RawServer], Receiver]]:
    """Open an engine with a reaction to `bad` for each of these servers, and one to `good`."""
    async with (
        serving_hostile(names) as servers,
        Receiver(default=Respond()) as healthy,
        engine_on(database_url, http={"timeout": LONG, "connect_timeout": LONG}) as engine,
    ):
        for name, server in servers.items():
            times_out = HOSTILE[name].failure_kind == FailureKind.TIMEOUT
            await engine.reactions.create(
                name=name,
                event_types=["bad"],
                url=server.url,
                retry=ONCE,
                timeout=QUICK if times_out else LONG,
            )
        await engine.reactions.create(
            name="healthy", event_types=["good"], url=healthy.url("/healthy")
        )
        yield engine, servers, healthy


def told(log: DeliveryLog) -> tuple[object, ...]:
    """Return the outcome in a log row."""
    truncated = log.response is not None and log.response.truncated
    return log.outcome, log.failure_kind, log.status_code, truncated


def expected(name: str) -> tuple[object, ...]:
    """Return the expected outcome for this server."""
    hostile = HOSTILE[name]
    is_success = hostile.failure_kind is None and hostile.status_code == 200
    outcome = Outcome.SUCCEEDED if is_success else Outcome.FAILED
    kind = hostile.failure_kind or (None if is_success else "http_status")
    return outcome, kind, hostile.status_code, hostile.truncated


async def test_each_hostile_receiver_gets_one_honest_log_row_and_does_not_affect_others(
    database_url: str,
) -> None:
    async with hostile_engine(database_url, HOSTILE) as (engine, servers, healthy):
        page = await engine.reactions.list(limit=len(HOSTILE) + 1)
        names = {reaction.id: reaction.name for reaction in page.items}
        async with engine.workers():
            bad = await engine.trigger("bad", {"n": 1})
            good = await engine.trigger_many([TriggerRequest("good", n) for n in range(HEALTHY)])
            delivered = await wait_for_all(engine, [job for each in good for job in each.jobs])
            await wait_for_all(engine, bad.jobs)
        assert {(job.status, job.attempt) for job in delivered} == {(JobStatus.SUCCEEDED, 1)}
        assert healthy.count("/healthy") == HEALTHY
        logs = {
            names[log.reaction_id]: log
            for log in await all_logs(engine, trigger_id=bad.id)
            if log.reaction_id is not None
        }
        assert {name: told(log) for name, log in logs.items()} == {
            name: expected(name) for name in HOSTILE
        }
        for name, log in logs.items():
            assert HOSTILE[name].error in (log.error or ""), name
            assert (log.duration_ms or 0) < 60_000, name
            assert log.attempt == 1
            assert len(servers[name].connections) == 1, name
        assert len(await all_logs(engine)) == len(HOSTILE) + HEALTHY


async def test_a_receiver_that_accepts_no_connection_is_logged_as_that(database_url: str) -> None:
    with unanswering_port() as port:
        async with engine_on(database_url, http={"connect_timeout": 0.4}) as engine:
            await engine.reactions.create(name="r", url=f"http://127.0.0.1:{port}/", retry=ONCE)
            trigger = await engine.trigger("x", 1)
            async with engine.workers():
                (job,) = await wait_for_all(engine, trigger.jobs)
            assert job.failure_kind == "timeout"
            (log,) = await all_logs(engine)
            assert log.error is not None
            assert "the connect timeout of 0.4 s expired while connecting to" in log.error


async def test_hundreds_of_megabytes_pushed_at_the_engine_do_not_grow_it(
    database_url: str,
) -> None:
    # Without those that end in a failure, which are soon called more and more rarely.
    pushing = [name for name, hostile in HOSTILE.items() if hostile.pushes and hostile.status_code]
    process = psutil.Process()
    async with hostile_engine(database_url, pushing) as (engine, servers, healthy):

        async def trigger(times: int) -> None:
            bad = await engine.trigger_many([TriggerRequest("bad", n) for n in range(times)])
            good = await engine.trigger_many([TriggerRequest("good", n) for n in range(times)])
            await wait_for_all(engine, [job for each in (*bad, *good) for job in each.jobs])

        async with engine.workers():
            await trigger(3)
            before = process.memory_info().rss
            already = sum(server.pushed for server in servers.values())
            rounds = 1
            while sum(server.pushed for server in servers.values()) - already < 200 * MEGABYTE:
                await trigger(5)
                rounds += 1
            grown = process.memory_info().rss - before
        assert grown < 50 * MEGABYTE
        assert healthy.count("/healthy") == 3 + 5 * (rounds - 1)


async def test_a_response_in_odd_bytes_is_stored_unchanged(database_url: str) -> None:
    odd = b"HTTP/1.1 299 O\x00K\r\nX: a\x00b\xff\r\nY: c\r\n d\r\nContent-Length: 2\r\n\r\n\x00\xff"
    async with serving(answering(odd)) as server, engine_on(database_url) as engine:
        await engine.reactions.create(name="odd", url=server.url, retry=ONCE)
        trigger = await engine.trigger("x", 1)
        async with engine.workers():
            (job,) = await wait_for_all(engine, trigger.jobs)
        assert job.status is JobStatus.SUCCEEDED
        (log,) = await all_logs(engine)
        assert log.response is not None
        assert log.response.headers[:2] == (("X", "a\0b\xff"), ("Y", "c d"))
        assert log.response.body == b"\x00\xff"

"""Waits end after all jobs finish, and print their results."""

from __future__ import annotations

import json
from uuid import uuid4

import pytest

from delivery.testing import Receiver, Respond
from tests.cli.running import LOOPBACK, call, run, running

pytestmark = pytest.mark.anyio

ONCE = '{"max_attempts": 1}'


async def test_trigger_wait_waits_for_its_jobs(database_url: str) -> None:
    options = ("--database-url", database_url, *LOOPBACK)
    async with Receiver() as receiver:
        for name, path in (("well", "/well"), ("badly", "/badly")):
            receiver.endpoint(path, Respond(200 if name == "well" else 500))
            await call(
                *("reactions", "create", "--name", name, "--event-type", name),
                *("--url", receiver.url(path), "--retry", ONCE, *options),
            )
        async with running("worker", "--json", *options) as worker:
            assert (await worker.object())["event"] == "started"
            well = await call("trigger", "well", "--wait", *options)
            badly = await call("trigger", "badly", "--wait", "--json", *options)
    assert well.code == 0
    assert "succeeded after 1 attempt, HTTP 200" in well.out
    assert badly.code == 1
    trigger, job = badly.objects
    assert trigger["jobs"] == [job["id"]]
    assert (job["status"], job["status_code"]) == ("failed", 500)


async def test_without_a_matching_reaction_there_is_nothing_to_wait_for(database_url: str) -> None:
    ended = await call("trigger", "a", "--wait", "--database-url", database_url)
    assert ended.code == 0
    assert "No reaction matches" in ended.err


async def test_a_missing_job_among_several_is_one_line(
    database_url: str,
) -> None:
    absent = [str(uuid4()), str(uuid4())]
    ended = await run("jobs", "wait", *absent, "--json", "--database-url", database_url)
    assert (ended.code, ended.out) == (4, "")
    assert json.loads(ended.err)["error"]["code"] == "not_found"


async def test_a_timeout_for_several_jobs_exits_with_5(database_url: str) -> None:
    options = ("--database-url", database_url)
    await call("reactions", "create", "--name", "x", "--url", "https://example.com/", *options)
    jobs = [(await call("trigger", "a", "--json", *options)).object["jobs"][0] for _ in range(2)]
    ended = await call("jobs", "wait", *jobs, "--timeout", "0.1", *options)
    assert ended.code == 5
    note, error = ended.err.splitlines()
    assert note == ("No worker is running; start one with `delivery worker`.")
    assert error.startswith("error: ")
    assert "no worker is running; start one with `delivery worker`" in error


async def test_a_wait_without_ids_is_a_usage_error() -> None:
    ended = await call("jobs", "wait")
    assert ended.code == 2
    assert "no job id given" in ended.err

"""`delivery triggers`, partial ids, and a note about a missing worker."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from delivery.testing import Receiver, Respond
from tests.cli.running import LOOPBACK, running

if TYPE_CHECKING:
    from tests.cli.commands import Commands

pytestmark = pytest.mark.anyio


async def test_triggers_are_listed_shown_and_waited_for(
    commands: Commands, database_url: str
) -> None:
    async with Receiver() as receiver:
        await commands.reaction(receiver.endpoint("/good"))
        await commands.reaction(receiver.endpoint("/bad", Respond(500)))
        trigger = await commands.json("trigger", "order.paid", '{"a": 1}')
        await commands.json("trigger", "order.sent")
        early = await commands.run("triggers", "wait", trigger["id"], "--timeout", "0.1")
        assert early.code == 5
        assert "start one with `delivery worker`" in early.err
        assert "2 of 2 jobs were not finished within 0.1 s: no worker is running" in early.err
        async with running("worker", "--database-url", database_url, *LOOPBACK) as worker:
            await worker.line()
            waited = await commands.run("triggers", "wait", trigger["id"])
    assert waited.code == 1
    assert sorted(line.split()[1] for line in waited.out.splitlines()) == ["failed", "succeeded"]
    (listed,) = (await commands.json("triggers", "list", "--type", "order.paid"))["items"]
    assert listed["id"] == trigger["id"]
    assert (listed["state"], listed["job_count"]) == ("mixed", 2)
    assert listed["job_counts"] == {"succeeded": 1, "failed": 1}
    assert "jobs" not in listed
    shown = await commands.json("triggers", "show", trigger["id"][-12:])
    assert shown["jobs"] == trigger["jobs"]
    assert shown["payload"] == {"a": 1}
    assert shown["state"] == "mixed"
    text = await commands.text("triggers", "show", trigger["id"])
    assert "1 failed, 1 succeeded" in text
    assert '"a": 1' in text
    for job in trigger["jobs"]:
        assert job in text
    table = await commands.text("triggers", "list")
    assert table.splitlines()[0].split() == ["ID", "TYPE", "CREATED", "STATE", "JOBS"]
    assert len([line for line in table.splitlines() if " order." in line]) == 2


async def test_a_trigger_without_jobs_has_nothing_to_wait_for(commands: Commands) -> None:
    trigger = await commands.json("trigger", "a")
    ended = await commands.run("triggers", "wait", trigger["id"])
    assert (ended.code, ended.out) == (0, "")
    assert "No reaction matched" in ended.err


async def test_waiting_for_jobs_takes_the_id_of_a_trigger_too(
    commands: Commands, database_url: str
) -> None:
    async with Receiver() as receiver:
        for path in ("/a", "/b"):
            await commands.reaction(receiver.endpoint(path))
        trigger = await commands.json("trigger", "x")
        async with running("worker", "--database-url", database_url, *LOOPBACK) as worker:
            await worker.line()
            ended = await commands.run("jobs", "wait", trigger["id"], "--json")
    assert ended.code == 0
    assert [job["id"] for job in ended.objects] == trigger["jobs"]


async def test_a_wait_for_a_failing_endpoint_reports_the_failure_as_text_and_as_json(
    commands: Commands, database_url: str
) -> None:
    async with Receiver() as receiver:
        url = receiver.endpoint("/bad", Respond(503))
        options = ("--name", "r", "--url", url, "--retry-base", "60", "--max-attempts", "4")
        await commands.json("reactions", "create", *options)
        async with running("worker", "--database-url", database_url, *LOOPBACK) as worker:
            await worker.line()
            ended = await commands.run("trigger", "a", "--wait", "--timeout", "3", "--json")
    assert ended.code == 5
    error = json.loads(ended.err)["error"]
    assert error["code"] == "job_timeout"
    assert "attempt 1 of 4 failed: HTTP 503; the next attempt is due at 20" in error["message"]
    (job,) = json.loads(ended.out)["jobs"]
    assert error["job_id"] == job
    assert (error["attempt"], error["max_attempts"]) == (1, 4)
    assert error["next_attempt_at"].endswith("Z")
    assert error["living_workers"] == 1


async def test_every_id_argument_accepts_final_digits(
    commands: Commands, database_url: str
) -> None:
    async with Receiver() as receiver:
        reaction = (await commands.reaction(receiver.endpoint("/a")))["id"]
        async with running("worker", "--database-url", database_url, *LOOPBACK) as worker:
            await worker.line()
            trigger = await commands.json("trigger", "x")
            await commands.run("triggers", "wait", trigger["id"])
        (job,) = trigger["jobs"]
        (log,) = (await commands.json("logs", "list", "--job", job[-8:]))["items"]
        for identity, command in (
            (reaction, ("reactions", "show")),
            (reaction, ("reactions", "update", "--name", "n")),
            (reaction, ("reactions", "secrets")),
            (reaction, ("reactions", "rotate-secret")),
            (reaction, ("reactions", "preview")),
            (reaction, ("reactions", "test")),
            (reaction, ("reactions", "disable")),
            (reaction, ("reactions", "enable")),
            (reaction, ("reactions", "reset")),
            (job, ("jobs", "show")),
            (job, ("jobs", "wait")),
            (trigger["id"], ("triggers", "show")),
            (trigger["id"], ("triggers", "wait")),
            (log["id"], ("logs", "show")),
            (reaction, ("jobs", "list", "--reaction")),
            (trigger["id"], ("jobs", "list", "--trigger")),
            (trigger["id"], ("logs", "list", "--trigger")),
            (reaction, ("logs", "list", "--reaction")),
            (reaction, ("reactions", "delete")),
        ):
            ended = await commands.run(*command, identity[-12:])
            assert ended.code == 0, (command, ended.err)


async def test_final_digits_of_another_kind_of_id_are_recognised(commands: Commands) -> None:
    trigger = await commands.json("trigger", "x")
    for command in (("jobs", "show"), ("logs", "show"), ("reactions", "show")):
        ended = await commands.run(*command, trigger["id"][-12:])
        assert ended.code == 4
        assert "a trigger has such an id" in ended.err
    ended = await commands.run("jobs", "show", trigger["id"])
    assert "it is the id of a trigger" in ended.err

"""Commands from the creation of a reaction to its logs."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

import pytest

from delivery.testing import FailFirst, Receiver, Respond
from tests.cli.running import LOOPBACK, run, running

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.commands import Commands

pytestmark = pytest.mark.anyio

ODD = b'{ "z": 9223372036854775808, "a": 1e400,\n "t": "\\u0000 \xf0\x9f\x90\x9d" }'


async def test_a_trigger_is_delivered_retried_and_logged(
    commands: Commands, database_url: str
) -> None:
    """Create, trigger, run a worker, wait, and read all records."""
    async with Receiver() as receiver:
        url = receiver.endpoint("/flaky", FailFirst(1))
        reaction = await commands.reaction(url, "--event-type", "order.*", "--generate-secret")
        assert reaction["secret"].startswith("whsec_")
        assert reaction["params"]["secrets"] == ["***"]
        async with running("worker", "--json", "--database-url", database_url, *LOOPBACK) as worker:
            assert (await worker.object())["event"] == "started"
            options = ("--database-url", database_url, "--json")
            trigger = (await run("trigger", "order.paid", "-", *options, stdin=ODD)).object
            (job_id,) = trigger["jobs"]
            waited = await run("jobs", "wait", job_id, *options)
            ended = await worker.stop()
        assert ended.code == 0
        assert ended.objects[-1]["event"] == "stopped"
    assert waited.code == 0
    (job,) = waited.objects
    assert (job["status"], job["attempt"], job["status_code"]) == ("succeeded", 2, 200)
    assert {request.body for request in receiver.received} == {ODD}
    shown = await commands.json("jobs", "show", job_id)
    assert [attempt["status_code"] for attempt in shown["attempts"]] == [503, 200]
    logs = await commands.json("logs", "list", "--trigger", trigger["id"])
    assert [log["outcome"] for log in logs["items"]] == ["succeeded", "retried"]
    log = await commands.json("logs", "show", logs["items"][0]["id"])
    assert log["request"]["body"].encode() == ODD
    assert log["request"]["body_encoding"] == "utf-8"
    text = await commands.text("jobs", "list", "--reaction", reaction["id"])
    titles, row = text.splitlines()
    assert titles.split() == ["ID", "STATUS", "TRIES", "HTTP", "CREATED", "REACTION", "ERROR"]
    assert row.split()[:4] == [job_id, "succeeded", "2/2", "200"]
    text = await commands.text("logs", "show", log["id"])
    assert "HTTP 200" in text
    assert '"a": 1e400' in text


async def test_wait_exit_codes_distinguish_success_failure_and_timeout(
    commands: Commands, database_url: str
) -> None:
    """Check the exit codes 0, 1 and 5."""
    async with Receiver() as receiver:
        await commands.reaction(receiver.endpoint("/bad", Respond(500)))
        (job_id,) = (await commands.json("trigger", "a"))["jobs"]
        early = await commands.run("jobs", "wait", job_id, "--timeout", "0.1")
        assert early.code == 5
        assert "was not finished within 0.1 s" in early.err
        async with running("worker", "--database-url", database_url, *LOOPBACK) as worker:
            assert "Ctrl-C to stop" in await worker.line()
            late = await commands.run("jobs", "wait", job_id)
        assert late.code == 1
        assert f"{job_id} failed after 2 attempts, HTTP 500" in late.out


async def test_a_payload_comes_from_argument_file_or_standard_input(
    commands: Commands, tmp_path: Path
) -> None:
    file = tmp_path / "payload.json"
    file.write_bytes(b'{"from": "file"}')
    for argument, stdin, payload in (
        ('{"from": "argument"}', b"", {"from": "argument"}),
        (f"@{file}", b"", {"from": "file"}),
        ("-", b'{"from": "stdin"}', {"from": "stdin"}),
    ):
        trigger = await commands.json("trigger", "a", argument, stdin=stdin)
        assert trigger["payload"] == payload
        assert trigger["jobs"] == []


async def test_limits_can_be_set_and_removed(commands: Commands) -> None:
    identity = (await commands.reaction("https://example.com/a"))["id"]
    limited = await commands.run(
        *("reactions", "update", identity, "--concurrency", "4", "--rate-limit", "5/s", "--json")
    )
    assert limited.object["params"]["concurrency"] == 4
    assert limited.object["params"]["rate_limit"] == {"limit": 5, "period": 1.0}
    ordered = await commands.run(
        *("reactions", "update", identity, "--concurrency", "none", "--ordered", "--json")
    )
    assert ordered.object["params"]["concurrency"] is None
    assert ordered.object["params"]["ordered"] is True
    taken_back = await commands.run(
        *("reactions", "update", identity, "--not-ordered", "--rate-limit", "none", "--json")
    )
    assert taken_back.object["params"]["ordered"] is False
    assert taken_back.object["params"]["rate_limit"] is None
    unread = await commands.run("reactions", "update", identity, "--concurrency", "some")
    assert unread.code == 2
    assert "--concurrency" in unread.err


async def test_a_reaction_can_be_changed_disabled_enabled_and_deleted(commands: Commands) -> None:
    reaction = await commands.reaction("https://example.com/a", "--generate-secret")
    identity = reaction["id"]
    changed = await commands.json(
        *("reactions", "update", identity, "--name", "new", "--header", "X-Api-Key: hunter2"),
        "--generate-secret",
    )
    assert changed["name"] == "new"
    assert changed["params"]["url"] == "https://example.com/a"
    assert changed["params"]["headers"] == [["X-Api-Key", "***"]]
    assert len(changed["params"]["secrets"]) == 2
    assert changed["secret"] != reaction["secret"]
    assert (await commands.json("reactions", "disable", identity))["state"] == "disabled"
    assert (await commands.json("trigger", "a"))["jobs"] == []
    assert "enabled" in await commands.text("reactions", "enable", identity)
    listed = await commands.json("reactions", "list")
    assert [item["id"] for item in listed["items"]] == [identity]
    assert f"deleted {identity}" in await commands.text("reactions", "delete", identity)
    assert (await commands.json("reactions", "list"))["items"] == []
    nothing = await commands.run("reactions", "update", identity)
    assert (nothing.code, "no changes given" in nothing.err) == (2, True)


async def test_tenants_do_not_see_each_other(commands: Commands) -> None:
    await commands.reaction("https://example.com/a", "--tenant", "one")
    (job_id,) = (await commands.json("trigger", "a", "--tenant", "one"))["jobs"]
    assert (await commands.run("jobs", "show", job_id)).code == 4
    assert (await commands.run("jobs", "show", job_id, "--tenant", "one")).code == 0


async def test_a_cursor_resumes_after_the_previous_page(commands: Commands) -> None:
    await commands.reaction("https://example.com/a")
    written = [(await commands.json("trigger", "a"))["jobs"][0] for _ in range(3)]
    first = await commands.json("jobs", "list", "--limit", "2", "--oldest-first")
    cursor = first["next_cursor"]
    second = await commands.json("jobs", "list", "--oldest-first", "--cursor", cursor)
    assert [job["id"] for job in first["items"] + second["items"]] == written
    assert second["next_cursor"] is None
    shown = await commands.run("jobs", "list", "--limit", "1")
    assert "More rows: --cursor " in shown.err


async def test_follow_prints_new_log_rows(commands: Commands, database_url: str) -> None:
    async with Receiver(default=Respond()) as receiver:
        await commands.reaction(receiver.url("/a"))
        options = ("--database-url", database_url, *LOOPBACK)
        async with (
            running("logs", "follow", "--json", *options) as following,
            running("worker", "--json", *options) as worker,
        ):
            await worker.object()
            seen = asyncio.create_task(following.object())
            # The command prints only later rows, so send triggers until it prints one.
            while not seen.done():
                trigger = await commands.json("trigger", "a")
                await asyncio.wait([seen], timeout=1)
            log = await seen
    assert log["outcome"] == "succeeded"
    assert log["status_code"] == 200
    assert json.dumps(log["trigger_id"]) <= json.dumps(trigger["id"])


async def test_maintain_creates_the_partitions_of_the_next_days(database_url: str) -> None:
    options = ("--database-url", database_url, "--set", "partitions.days_ahead=30")
    first = (await run("maintain", "--json", *options)).object
    assert first["partitions_made"] > 0
    assert (await run("maintain", *options)).out == "made 0 partitions\n"


async def test_migrate_creates_the_schema_once(empty_database_url: str) -> None:
    checked = await run("migrate", "--check", "--database-url", empty_database_url)
    assert checked.code == 3
    first = (await run("migrate", "--json", "--database-url", empty_database_url)).object
    assert first["applied"][0].startswith("0001_")
    assert first["version"] == len(first["applied"])
    again = await run("migrate", "--database-url", empty_database_url)
    assert again.out == f"the schema is at version {first['version']}\n"
    assert (await run("migrate", "--check", "--database-url", empty_database_url)).code == 0

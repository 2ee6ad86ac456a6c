"""The command line finds jobs and triggers by the `webhook-id`, and sets metadata of reactions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from delivery.testing import Receiver

if TYPE_CHECKING:
    from tests.cli.commands import Commands

pytestmark = pytest.mark.anyio


async def test_commands_take_a_webhook_id_for_a_job_or_a_trigger(commands: Commands) -> None:
    async with Receiver() as receiver:
        await commands.reaction(receiver.endpoint("/ok"))
    trigger = await commands.json("trigger", "order.paid")
    other = await commands.json("trigger", "order.sent")
    job = await commands.json("jobs", "show", trigger["jobs"][0])
    message_id = job["message_id"]
    assert message_id == f"msg_{job['id'].replace('-', '')}"
    assert (await commands.json("jobs", "show", message_id))["id"] == job["id"]
    assert message_id in await commands.text("jobs", "show", message_id)
    assert (await commands.json("triggers", "show", message_id))["id"] == trigger["id"]
    (listed,) = (await commands.json("jobs", "list", "--message-id", message_id))["items"]
    assert listed["id"] == job["id"] != other["jobs"][0]
    assert (await commands.json("logs", "list", "--job", message_id))["items"] == []
    waited = await commands.run("jobs", "wait", message_id, "--timeout", "0.1")
    assert waited.code == 5


async def test_an_unknown_webhook_id_is_not_found_and_a_malformed_one_is_refused(
    commands: Commands,
) -> None:
    unknown = await commands.run("jobs", "show", "msg_" + "0" * 32)
    assert unknown.code == 4
    assert "sends message" in unknown.err
    malformed = await commands.run("jobs", "list", "--message-id", "msg_1")
    assert malformed.code == 2
    assert "webhook-id" in malformed.err


async def test_metadata_is_set_replaced_and_removed(commands: Commands) -> None:
    made = await commands.reaction(
        "http://127.0.0.1:9/", "--metadata", "plan=gold", "--metadata", "team=a=b"
    )
    assert made["metadata"] == {"plan": "gold", "team": "a=b"}
    assert "plan=gold team=a=b" in await commands.text("reactions", "show", made["id"])
    changed = await commands.json("reactions", "update", made["id"], "--metadata", "plan=silver")
    assert changed["metadata"] == {"plan": "silver"}
    removed = await commands.json("reactions", "update", made["id"], "--metadata", "none")
    assert removed["metadata"] == {}
    ended = await commands.run("reactions", "update", made["id"], "--metadata", "plan")
    assert ended.code == 2

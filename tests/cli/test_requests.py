"""`delivery reactions preview` and `test`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

import delivery
from delivery.cli.standard_input import read_standard_input
from delivery.errors import InvalidInput
from delivery.testing import Drop, Receiver, Respond
from tests.support.engines import SECRET

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.commands import Commands

pytestmark = pytest.mark.anyio


async def create(commands: Commands, receiver: Receiver, *options: str) -> str:
    made = await commands.json(
        "reactions",
        "create",
        "--name=r",
        f"--url={receiver.url('/o/{{ event.id }}')}",
        f"--secret={SECRET}",
        "--header=Authorization: Bearer hunter2",
        "--query=kind={{ trigger.type }}",
        *options,
    )
    return str(made["id"])


async def test_a_preview_shows_the_request_and_sends_nothing(
    commands: Commands, tmp_path: Path
) -> None:
    event = tmp_path / "event.json"
    event.write_bytes(b'{"id": 7.10}')
    async with Receiver(default=Respond()) as receiver:
        reaction = await create(commands, receiver)
        shown = await commands.json(
            "reactions", "preview", reaction, "--event", str(event), "--type=order.paid"
        )
        assert shown["url"] == receiver.url("/o/7.10?kind=order.paid")
        headers = dict(shown["headers"])
        assert headers["Authorization"] == "***"
        assert shown["body"] == '{"id": 7.10}'
        delivery.verify(shown["body"].encode(), headers, SECRET)
        open_ = await commands.json(
            "reactions", "preview", reaction, "--event", str(event), "--show-secrets"
        )
        assert dict(open_["headers"])["Authorization"] == "Bearer hunter2"
        for_people = await commands.run("reactions", "preview", reaction, "--event", str(event))
        assert f"POST {receiver.url('/o/7.10?kind=test')}" in for_people.out
        assert "hunter2" not in for_people.out
        assert receiver.count() == 0


async def test_a_number_too_long_to_store_is_refused(
    commands: Commands,
) -> None:
    body = '{"kind": "json", "content": {"id": 12345678901234567890123}}'
    refused = await commands.run(
        *("reactions", "create", "--name=r", "--url=http://127.0.0.1/", "--body", body)
    )
    assert refused.code == 2
    assert "Integer exceeds 64-bit range" in refused.err


async def test_a_failed_preview_reports_the_reason(commands: Commands) -> None:
    async with Receiver(default=Respond()) as receiver:
        reaction = await create(commands, receiver)
        refused = await commands.run("reactions", "preview", reaction)
        assert refused.code == 2
        assert "{{ event.id }} has no value" in refused.err
        missing = await commands.run("reactions", "preview", reaction, "--event", "no/such.json")
        assert missing.code == 2
        assert "no/such.json: cannot be read" in missing.err


async def test_an_event_cannot_be_read_where_there_is_no_standard_input(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(InvalidInput, match="standard input is closed"):
        await read_standard_input()


async def test_a_test_sends_one_request_and_sets_the_exit_code(
    commands: Commands,
) -> None:
    async with Receiver(default=Respond(body=b"thanks")) as receiver:
        reaction = await create(commands, receiver)
        called = await commands.json(
            "reactions", "test", reaction, "--event", "-", stdin=b'{"id": 1}'
        )
        assert called["succeeded"] is True
        assert called["status_code"] == 200
        assert called["response"]["body"] == "thanks"
        receiver.endpoint("/o/2", Respond(500))
        failed = await commands.run("reactions", "test", reaction, "--event=-", stdin=b'{"id": 2}')
        assert failed.code == 1
        assert "HTTP 500" in failed.out
        assert "failure" in failed.out
        receiver.endpoint("/o/3", Drop())
        dropped = await commands.run("reactions", "test", reaction, "--event=-", stdin=b'{"id": 3}')
        assert dropped.code == 1
        assert "no response" in dropped.out
        assert receiver.count() == 3
        assert (await commands.json("logs", "list"))["items"] == []


async def test_show_prints_all_options_of_a_reaction(commands: Commands) -> None:
    async with Receiver() as receiver:
        reaction = await create(
            commands,
            receiver,
            *("--redirects=2", "--timeout=5", "--connect-timeout=2", "--area=north"),
            *("--status-action=404=fail", "--tls-minimum-version=1.3", "--compression=gzip"),
        )
        shown = await commands.run("reactions", "show", reaction)
    lines = dict(line.split(maxsplit=1) for line in shown.out.splitlines())
    assert lines["headers"] == "Authorization: ***"
    assert lines["query"] == "kind={{ trigger.type }}"
    assert lines["redirects"] == "2"
    assert lines["timeout"] == "5 s"
    assert lines["statuses"] == "404=fail"
    assert lines["tls"] == "1.3 or later"
    assert lines["area"] == "north"
    assert lines["compressed"] == "gzip"


@pytest.mark.parametrize(
    "arguments",
    [
        ("reactions", "rotate-secret", "01a2090a-ccbb-7d12-bf3d-ff9149708208", "hunter2"),
        ("reactions", "create", "--name=a", "--url=https://e.test/", "whsec_hunter2"),
        ("reactions", "create", "--name=a", "--url=https://e.test/", "--header=Auth hunter2"),
        ("reactions", "create", "--name=a", "--url=https://e.test/", "--query=hunter2"),
        ("reactions", "create", "--name=a", "--url=https://e.test/", "--secrett=hunter2"),
        (
            *("reactions", "create", "--name=a", "--url=https://e.test/"),
            "--tls-key=-----BEGIN PRIVATE KEY-----hunter2",
        ),
        ("reactions", "preview", "x", "--event", '{"password": "hunter2"}'),
    ],
)
async def test_errors_omit_misplaced_values(commands: Commands, arguments: tuple[str, ...]) -> None:
    """It may be a secret."""
    refused = await commands.run(*arguments)
    assert refused.code == 2
    assert "hunter2" not in refused.err
    assert refused.err.startswith("error: ")

"""Secrets are read from files and standard input, so that no process list shows them."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.commands import Commands

pytestmark = pytest.mark.anyio

URL = "https://example.com/"


def whsec(number: int) -> str:
    return "whsec_" + base64.b64encode(bytes([number]) * 32).decode()


async def secrets_of(commands: Commands, reaction: str) -> list[str]:
    shown = await commands.json("reactions", "secrets", reaction)
    return [each["secret"] for each in shown["secrets"]]


async def test_a_signing_secret_comes_from_a_file_or_standard_input(
    commands: Commands, tmp_path: Path
) -> None:
    file = tmp_path / "secret"
    file.write_text(f"{whsec(1)}\n")
    options = ("--name", "r", "--url", URL, "--secret", f"@{file}", "--secret", "-")
    made = await commands.json("reactions", "create", *options, stdin=f"{whsec(2)}\r\n".encode())
    assert await secrets_of(commands, made["id"]) == [whsec(1), whsec(2)]
    await commands.json(
        *("reactions", "rotate-secret", made["id"], "--keep-for", "0", "--secret", "-"),
        stdin=whsec(3).encode(),
    )
    assert await secrets_of(commands, made["id"]) == [whsec(3)]
    file.write_text(whsec(4))
    await commands.json("reactions", "update", made["id"], "--secret", f"@{file}")
    assert await secrets_of(commands, made["id"]) == [whsec(4)]


async def test_the_value_of_a_header_comes_from_a_file(commands: Commands, tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("Bearer hunter2\n")
    options = ("--name", "r", "--url", URL, "--header", f"Authorization: @{file}")
    made = await commands.json("reactions", "create", *options, "--header", "X-At: @")
    assert made["params"]["headers"] == [["Authorization", "***"], ["X-At", "@"]]
    shown = await commands.json("reactions", "secrets", made["id"])
    assert ["Authorization", "Bearer hunter2"] in shown["hidden"]["headers"]


async def test_a_secret_that_cannot_be_read_is_refused(commands: Commands, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.write_text(" \n")
    binary = tmp_path / "binary"
    binary.write_bytes(b"\xff\xfe")
    create = ("reactions", "create", "--name", "r", "--url", URL)
    for options, text in (
        (("--secret", f"@{tmp_path}/none"), "none cannot be read: No such file"),
        (("--secret", f"@{empty}"), "is empty"),
        (("--secret", "-"), "--secret: standard input is empty"),
        (("--secret", f"@{binary}"), "is not text"),
        (("--secret", "-", "--secret", "-"), "--secret - can be given only once"),
        (("--header", f"Authorization: @{tmp_path}/none"), "--header Authorization: "),
    ):
        ended = await commands.run(*create, *options)
        assert ended.code == 2, options
        assert text in ended.err


async def test_a_retry_policy_is_given_by_options(commands: Commands) -> None:
    create = ("reactions", "create", "--name", "r", "--url", URL)
    made = await commands.json(*create, "--max-attempts", "4", "--retry-base", "0.5")
    retry = made["params"]["retry"]
    assert (retry["max_attempts"], retry["base"], retry["factor"]) == (4, 0.5, 3.0)
    changed = await commands.json("reactions", "update", made["id"], "--retry-factor", "2")
    assert changed["params"]["retry"] == retry | {"factor": 2.0}
    both = await commands.json(*create, "--retry", '{"base": 7, "jitter": 0}', "--retry-max", "9")
    retry = both["params"]["retry"]
    assert (retry["base"], retry["jitter"], retry["max"]) == (7.0, 0.0, 9.0)
    listed = await commands.json(*create, "--retry-schedule", "1,60,600")
    assert listed["params"]["retry"]["strategy"] == "schedule"
    assert listed["params"]["retry"]["schedule"] == [1.0, 60.0, 600.0]
    back = await commands.json(
        *("reactions", "update", listed["id"], "--retry-strategy", "constant", "--retry-base", "3")
    )
    assert back["params"]["retry"]["strategy"] == "constant"
    for options, text in (
        (("--retry-schedule", "soon"), "--retry-schedule is 'soon', but must be seconds"),
        (("--max-attempts", "0"), "max_attempts"),
        (("--retry-base", "1e9"), "must be from 0 to 2592000"),
        (("--retry-strategy", "linaer"), "constant, linear, exponential, schedule"),
        (("--body", "jsn"), "--body is 'jsn', but must be payload, envelope, none, or JSON"),
        (("--body", "envelop"), "did you mean envelope?"),
        (("--method", "PSOT"), "must be one of DELETE, GET"),
    ):
        ended = await commands.run(*create, *options)
        assert ended.code == 2, options
        assert text in ended.err, ended.err

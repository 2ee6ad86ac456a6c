"""Secrets on the command line: create, print once, rotate and re-encrypt."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

import delivery
from delivery.message.signing import generate_secret, public_key
from delivery.message.storage.encryption import Cipher, generate_key
from delivery.service.processes import _dumped
from delivery.settings import Settings, load_settings
from tests.cli.running import Finished, call

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.anyio

URL = "https://example.com/hook?token=hunter2"
KEY = generate_key()


@pytest.fixture
def command(database_url: str) -> Callable[..., Any]:
    """A command on this database, with a key."""

    async def run(*arguments: str, keys: str = KEY) -> Finished:
        return await call(
            *(*arguments, "--database-url", database_url, "--set", f"secrets.keys={keys}")
        )

    return run


@pytest.fixture
async def identity(command: Callable[..., Any]) -> str:
    """The id of a reaction with secrets."""
    made = await command(
        *("reactions", "create", "--name", "r", "--url", URL, "--header", "Cookie: hunter2"),
        *("--generate-secret", "--json"),
    )
    return str(made.object["id"])


async def test_a_rotation_prints_the_new_secret_once(
    command: Callable[..., Any], identity: str
) -> None:
    made = (await command("reactions", "rotate-secret", identity, "--json")).object
    assert made["secret"].startswith("whsec_")
    assert [each["expires_at"] is None for each in made["secrets"]] == [True, False]
    ended = await command(
        *("reactions", "rotate-secret", identity, "--kind", "v1a", "--keep-for", "7d")
    )
    assert ended.code == 0
    assert "whsk_" in ended.out
    assert "whpk_" in ended.out
    assert "Save this secret now" in ended.err
    shown = await command("reactions", "show", identity)
    assert "signed      v1a, v1 until " in shown.out
    assert "public key  whpk_" in shown.out


async def test_a_rotation_takes_a_secret_and_a_time(
    command: Callable[..., Any], identity: str
) -> None:
    secret = generate_secret(delivery.SignatureKind.V1A)
    done = await command(
        *("reactions", "rotate-secret", identity, "--secret", secret, "--keep-for", "0", "--json")
    )
    assert "secret" not in done.object, "who gave it has it"
    assert [each["public_key"] for each in done.object["secrets"]] == [public_key(secret)]
    for wrong in ("soon", "-1h", "1y", ""):
        refused = await command("reactions", "rotate-secret", identity, f"--keep-for={wrong}")
        assert refused.code == 2
        assert "--keep-for" in refused.err
    refused = await command("reactions", "rotate-secret", identity, "--secret", "swordfish")
    assert (refused.code, "swordfish" in refused.err) == (2, False)


async def test_only_the_secrets_command_prints_secrets(
    command: Callable[..., Any], identity: str
) -> None:
    shown = (await command("reactions", "secrets", identity, "--json")).object
    (secret,) = shown["secrets"]
    assert secret["secret"].startswith("whsec_")
    assert shown["hidden"] == {"url": URL, "headers": [["Cookie", "hunter2"]]}
    text = (await command("reactions", "secrets", identity)).out
    assert secret["secret"] in text
    assert f"url  {URL}" in text
    assert "headers:\n  Cookie: hunter2" in text
    for arguments in (
        ("show", identity),
        ("show", identity, "--json"),
        ("list",),
        ("list", "--json"),
        ("update", identity, "--name", "n", "--json"),
        ("disable", identity),
    ):
        ended = await command("reactions", *arguments)
        assert ended.code == 0
        assert "hunter2" not in ended.out + ended.err
        assert secret["secret"] not in ended.out + ended.err
    again = (await command("reactions", "secrets", identity, "--json")).object
    assert again == shown


async def test_an_update_adds_a_secret_to_the_previous_ones(
    command: Callable[..., Any], identity: str
) -> None:
    ended = await command("reactions", "update", identity, "--generate-secret")
    assert "rotate-secret" in ended.err
    shown = (await command("reactions", "secrets", identity, "--json")).object
    assert [each["expires_at"] for each in shown["secrets"]] == [None, None]
    assert shown["secrets"][0]["secret"] in ended.out


async def test_reencrypt_uses_the_first_key(command: Callable[..., Any], identity: str) -> None:
    printed = await call("secrets", "generate-key")
    other = printed.out.strip()
    assert Cipher([other]).has_keys
    assert (await call("secrets", "generate-key", "--json")).object["key"] != other
    done = await command("secrets", "reencrypt", "--json", keys=f"{other},{KEY}")
    assert done.object == {"examined": 2, "changed": 2, "unreadable": 0}
    ended = await command("secrets", "reencrypt")
    assert ended.code == 1
    assert "2 rows cannot be decrypted" in ended.out
    assert (await command("reactions", "secrets", identity)).code == 2
    assert (await command("reactions", "secrets", identity, keys=other)).code == 0
    without = await command("secrets", "reencrypt", keys="")
    assert (without.code, "generate-key" in without.err) == (2, True)


async def test_doctor_reports_unencrypted_and_undecryptable_secrets(
    command: Callable[..., Any], identity: str
) -> None:
    async def finding(keys: str) -> dict[str, Any]:
        ended = await command("doctor", "--json", "--skip-delivery", keys=keys)
        (found,) = [each for each in ended.object["checks"] if each["check"] == "secrets"]
        return dict(found)

    assert (await finding(KEY))["verdict"] == "ok"
    lost = await finding(generate_key())
    assert lost["verdict"] == "failed"
    assert "secrets.keys" in lost["advice"]
    assert (await finding(""))["verdict"] == "failed"
    mixed = await finding(f"{generate_key()},{KEY}")
    assert (mixed["verdict"], mixed["advice"]) == ("warning", "run `delivery secrets reencrypt`")
    await command("reactions", "delete", identity)
    none = await finding("")
    assert none["verdict"] == "warning"
    assert "generate-key" in none["advice"]


async def test_config_show_redacts_keys(command: Callable[..., Any]) -> None:
    for arguments in ((), ("--json",), ("--explain",)):
        ended = await command("config", "show", *arguments)
        assert KEY not in ended.out
        assert "***" in ended.out


def test_worker_processes_are_given_the_keys() -> None:
    """They arrive unredacted on standard input."""
    settings = load_settings(secrets={"keys": [KEY]})
    assert Settings(**json.loads(_dumped(settings))).secrets.texts() == (KEY,)

"""`delivery listen` shows and verifies what arrives, and fails as it is told."""

from __future__ import annotations

import time

import httpx
import pytest

from delivery.message.signing import Signer, generate_secret
from tests.cli.running import call, running

pytestmark = pytest.mark.anyio


def signed(secret: str, body: bytes) -> dict[str, str]:
    now = int(time.time())
    signature = Signer([secret]).sign("msg_1", now, body).decode()
    return {
        "webhook-id": "msg_1",
        "webhook-timestamp": str(now),
        "webhook-signature": signature,
    }


async def test_it_prints_its_url_first_and_then_what_arrives() -> None:
    async with running("listen", "--count", "1") as listening, httpx.AsyncClient() as client:
        first = await listening.line()
        url = first.removeprefix("listening on ")
        response = await client.post(
            f"{url}hook?a=1", content=b'{"n":1e400,"e":"\x1b[31m"}'.replace(b"\x1b", b"\xc2\x9b")
        )
        assert response.status_code == 200
        ended = await listening.ended()
    assert ended.code == 0
    assert "POST /hook?a=1 → 200" in ended.out
    assert '    "n": 1e400,' in ended.out
    assert "\x9b" not in ended.out
    assert "\\x9b" in ended.out


async def test_signatures_are_verified_with_the_given_secret() -> None:
    """A refused one makes the exit code 1."""
    secret, other = generate_secret(), generate_secret()
    body = b'{"a":1}'
    async with (
        running("listen", "--json", "--secret", secret, "--count", "2") as listening,
        httpx.AsyncClient() as client,
    ):
        url = (await listening.object())["url"]
        await client.post(url, content=body, headers=signed(secret, body))
        await client.post(url, content=body, headers=signed(other, body))
        right, wrong = await listening.object(), await listening.object()
        ended = await listening.ended()
    assert right["signature"] == {"verified": True, "problem": None}
    assert right["webhook_id"] == "msg_1"
    assert right["request"]["body"] == '{"a":1}'
    assert wrong["signature"]["verified"] is False
    assert ended.code == 1


async def test_it_fails_each_message_first_when_told_to() -> None:
    async with (
        running(
            "listen", "--fail-first", "1", "--fail-status", "429", "--status", "202"
        ) as program,
        httpx.AsyncClient() as client,
    ):
        url = (await program.line()).removeprefix("listening on ")
        statuses = [
            (await client.post(url, headers={"webhook-id": name})).status_code
            for name in ("a", "a", "b", "b")
        ]
        assert statuses == [429, 202, 429, 202]


async def test_it_drops_and_delays_when_told_to() -> None:
    async with (
        running(
            "listen", "--drop", "--fail-first", "1", "--delay", "0.1", "--count", "2"
        ) as program,
        httpx.AsyncClient() as client,
    ):
        url = (await program.line()).removeprefix("listening on ")
        with pytest.raises(httpx.RemoteProtocolError):
            await client.post(url)
        started = time.monotonic()
        assert (await client.post(url)).status_code == 200
        assert time.monotonic() - started >= 0.1
        ended = await program.ended()
    assert ended.code == 0
    assert "→ dropped" in ended.out


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("--secret", "short"), "whsec_"),
        (("--status", "99"), "--status is 99"),
        (("--port", "70000"), "port 70000 does not exist"),
        (("--host", "192.0.2.1"), "cannot listen"),
    ],
)
async def test_what_it_cannot_do_is_refused(arguments: tuple[str, ...], text: str) -> None:
    ended = await call("listen", *arguments)
    assert ended.code == 2
    assert text in ended.err

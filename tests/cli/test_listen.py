"""`delivery listen` prints and verifies requests, and fails on purpose."""

from __future__ import annotations

import signal
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


async def test_it_prints_its_url_and_then_the_requests() -> None:
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
    """An invalid signature sets exit code 1."""
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
    assert (right["attempt"], wrong["attempt"]) == (1, 2)
    assert right["request"]["body"] == '{"a":1}'
    assert wrong["signature"]["verified"] is False
    assert ended.code == 1


async def test_fail_first_fails_the_first_deliveries_of_each_message() -> None:
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


async def test_text_output_has_attempts_and_signature_results() -> None:
    secret = generate_secret()
    async with (
        running("listen", "--secret", secret, "--count", "2") as program,
        httpx.AsyncClient() as client,
    ):
        url = (await program.line()).removeprefix("listening on ")
        await client.post(url, content=b"{}", headers=signed(secret, b"{}"))
        await client.post(url, content=b"[]", headers=signed(secret, b"{}"))
        ended = await program.ended()
    assert ended.code == 1
    assert "POST / → 200  (attempt 1)\n  ✓ signature verified" in ended.out
    assert "POST / → 200  (attempt 2)\n  ✗ signature refused: " in ended.out


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_a_signal_exits_with_0(number: signal.Signals) -> None:
    """The command exits without waiting for pending responses."""
    async with running("listen", "--delay", "600") as program:
        url = (await program.line()).removeprefix("listening on ")
        async with httpx.AsyncClient(timeout=httpx.Timeout(30, read=0.5)) as client:
            with pytest.raises(httpx.ReadTimeout):
                await client.post(url)
        ended = await program.stop(number)
    assert (ended.code, ended.err) == (0, "")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_a_signal_right_after_the_url_exits_cleanly(number: signal.Signals) -> None:
    async with running("listen", "--json") as program:
        await program.object()
        assert (await program.stop(number)).code == 0


async def test_drop_and_delay_apply_to_requests() -> None:
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
        (("--fail-first", "-1"), "--fail-first is -1; it must be at least 0"),
        (("--delay", "-0.5"), "--delay is -0.5; it must be at least 0"),
        (("--delay", "nan"), "--delay is nan; it must be at least 0"),
        (("--count", "0"), "--count is 0; it must be at least 1"),
        (("--port", "70000"), "port 70000 is out of range"),
        (("--host", "192.0.2.1"), "cannot listen"),
    ],
)
async def test_invalid_options_are_refused(arguments: tuple[str, ...], text: str) -> None:
    ended = await call("listen", *arguments)
    assert ended.code == 2
    assert text in ended.err

"""Secrets in any form are scrubbed: escaped, nested, or cut off."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest

from delivery.message.redaction.escapes import Unescaped
from delivery.message.storage.encryption import generate_key
from delivery.testing import Receiver, Respond
from tests.engine.test_secrets_nowhere import dump, program_log
from tests.support.engines import QUICK_RETRIES, all_logs, engine_on, wait_for_all
from tests.support.escaping import ENCODERS
from tests.support.raw_servers import Connected, RawServer, read_request, serving

if TYPE_CHECKING:
    import io

__all__ = ["program_log"]

pytestmark = pytest.mark.anyio

ESCAPED = "live/key+42&<hunter>#2"
"""A secret with characters that every language escapes."""


async def test_a_secret_that_a_receiver_repeats_in_any_escaping_is_scrubbed(
    database_url: str, program_log: io.StringIO
) -> None:
    twice = ENCODERS["json"]
    bodies = {
        f"/{number}": f'{{"first": "{encode(ESCAPED)}", "second": "{twice(encode(ESCAPED))}"}}'
        for number, encode in enumerate(ENCODERS.values())
    }
    async with (
        Receiver(default=Respond()) as receiver,
        engine_on(database_url, secrets={"keys": [generate_key()]}) as engine,
    ):
        for path, body in bodies.items():
            # Headers hold ASCII only, which all of these are for this secret.
            headers = (("X-Seen", body), ("Location", f"/?seen={quote(body)}"))
            receiver.endpoint(path, Respond(500, headers, body.encode()))
            await engine.reactions.create(
                name=path,
                url=receiver.url(path),
                headers={"Authorization": f"Bearer {ESCAPED}"},
                retry={**QUICK_RETRIES, "max_attempts": 1},
            )
        async with engine.workers():
            trigger = await engine.trigger("x", {})
            await wait_for_all(engine, trigger.jobs)
        for body in bodies.values():
            logging.getLogger("delivery.test").error("got %s", body)
        logs = await all_logs(engine)
        assert len(logs) == len(bodies)
        for log in logs:
            assert log.response is not None
            assert log.response.body == b'{"first": "***", "second": "***"}'
        for text in (await dump(engine), program_log.getvalue().encode()):
            for layer in (text, *Unescaped(text).layers):
                assert ESCAPED.encode() not in layer
                assert ESCAPED.replace("+", " ").encode() not in layer


@pytest.mark.parametrize("transport", ["native", "httpx"])
@pytest.mark.parametrize("how", ["json", "all in unicode escapes", "all in percent"])
async def test_a_secret_that_is_cut_off_is_scrubbed(
    database_url: str, how: str, transport: str
) -> None:
    """By the largest body that is read, by a timeout, and by a connection that ends."""
    secret = "hunter2-" * 6
    written = ENCODERS[how](secret).encode()
    sent = 2 * len(written) // 3

    async def stopping(server: RawServer, connected: Connected) -> None:
        await read_request(server, connected)
        head = b"HTTP/1.1 200 OK\r\nContent-Length: 4000\r\n\r\nseen: "
        await connected.send(head, written[:sent])
        if b"/hang" in server.requests[-1][0]:
            await connected.reader.read()

    async with (
        Receiver(default=Respond(200, body=b"seen: " + written)) as receiver,
        serving(stopping) as server,
        engine_on(
            database_url,
            http={"max_response_body": 6 + sent, "transport": transport},
            secrets={"keys": [generate_key()]},
        ) as engine,
    ):
        urls = (receiver.url("/"), f"{server.url}/hang", f"{server.url}/close")
        for url in urls:
            await engine.reactions.create(
                name=url,
                url=url,
                headers={"Authorization": secret},
                timeout=1.0 if url.endswith("/hang") else 60.0,
                retry={"max_attempts": 1},
            )
        async with engine.workers():
            trigger = await engine.trigger("x", {})
            await wait_for_all(engine, trigger.jobs)
        logs = await all_logs(engine)
        assert len(logs) == len(urls)
        assert b"seen: ***" in [log.response.body for log in logs if log.response]
        text = await dump(engine)
        for layer in (text, *Unescaped(text).layers):
            assert b"hunter2" not in layer


async def test_secrets_in_nested_texts_are_stored_encrypted(database_url: str) -> None:
    """In reactions, direct jobs and payloads, and in their log rows."""
    nested = json.dumps({"a": json.dumps([{"password": "nested-hunter-2"}])})
    link = "https://a.test/?next=" + quote("https://b.test/?token=linked-hunter-2", safe="")
    values = {"text": nested, "link": link, "form": "a=1&client_secret=form-hunter-2", "open": "x"}
    async with (
        Receiver(default=Respond(200, body=json.dumps(values).encode())) as receiver,
        engine_on(database_url, secrets={"keys": [generate_key()]}) as engine,
    ):
        body: dict[str, Any] = {"kind": "json", "content": values}
        await engine.reactions.create(name="own", url=receiver.url("/own"), body=body)
        await engine.reactions.create(
            name="sent",
            url=receiver.url("/sent?then=" + quote(link, safe="")),
            headers={"X-Link": link, "X-Text": nested},
            query={"link": link},
        )
        for name, value in values.items():
            await engine.reactions.create(
                name=name,
                event_types=["y"],
                url=receiver.url("/raw"),
                body={"kind": "raw", "content": value},
            )
        async with engine.workers():
            triggers = [await engine.trigger("x", values), await engine.trigger("y", nested)]
            triggers.append(await engine.trigger("z", json.dumps(values).encode()))
            job = await engine.jobs.create(url=receiver.url("/direct"), body=body, payload=values)
            jobs = [*(each for trigger in triggers for each in trigger.jobs), job.id]
            await wait_for_all(engine, jobs)
        for request in receiver.received:
            assert request.path == "/raw" or json.loads(request.body) in (values, nested)
        stored = await dump(engine)
        for secret in (b"nested-hunter-2", b"linked-hunter-2", b"form-hunter-2"):
            for layer in (stored, *Unescaped(stored).layers):
                assert secret not in layer
        reactions = (await engine.reactions.list()).items
        shown = repr([(each.params, each.params.body.content) for each in reactions])
        shown += repr([(await engine.triggers.get(each.id)).payload for each in triggers])
        assert "hunter" not in shown + repr(await all_logs(engine))


async def test_a_plain_value_with_the_name_of_a_secret_is_neither_encrypted_nor_redacted(
    database_url: str,
) -> None:
    payload = (
        b'{"total_tokens": 12, "signature_required": true, "session_number": 123456789,'
        b' "password": null, "token_expires_at": "2026-01-02T03:04:05Z",'
        b' "page_cursor_token": "shown"}'
    )
    settings: dict[str, Any] = {
        "secrets": {"keys": [generate_key()]},
        "redaction": {"exempt": ["page_cursor_token"]},
    }
    async with (
        Receiver(default=Respond(body=payload)) as receiver,
        engine_on(database_url, **settings) as engine,
    ):
        await engine.reactions.create(name="r", url=receiver.url("/?max_tokens=500"))
        async with engine.workers():
            trigger = await engine.trigger("x", payload)
            await wait_for_all(engine, trigger.jobs)
        (log,) = await all_logs(engine)
        assert log.request is not None
        assert log.response is not None
        assert log.request.body == log.response.body == payload
        assert log.endpoint.endswith("?max_tokens=500")
        assert payload in await dump(engine), "it is not encrypted"

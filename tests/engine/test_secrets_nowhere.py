"""Secrets in any place are in clear neither in the database nor in the logs."""

from __future__ import annotations

import base64
import io
import logging
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest

from delivery import InvalidReaction, JobStatus
from delivery.message.signing import generate_secret
from delivery.message.storage.encryption import generate_key
from delivery.observe.logs import configure_logging
from delivery.settings import load_settings
from delivery.testing import Drop, Receiver, Respond
from tests.support.conditions import until
from tests.support.engines import QUICK_RETRIES, all_logs, engine_on, wait_for_all

if TYPE_CHECKING:
    from collections.abc import Iterator

    from delivery import Engine

pytestmark = pytest.mark.anyio

IN_HEADER = "header-Hunter/2+x"
IN_BASIC = "basic pass:word"
IN_QUERY = "query hunter&2"
IN_PAIR = "pair-hunter-2"
IN_BODY = "body-hunter-2"
IN_PAYLOAD = "payload-hunter-2"
IN_TEMPLATE = "template-hunter-2"
IN_ANSWER = "answer-hunter-2"
IN_COOKIE = "cookie-hunter-2"
IN_OWN = "own-hunter-2"
IN_DIRECT = "direct-hunter-2"
EVERYTHING = (
    *(IN_HEADER, IN_BASIC, IN_QUERY, IN_PAIR, IN_BODY, IN_PAYLOAD, IN_TEMPLATE, IN_ANSWER),
    *(IN_COOKIE, IN_OWN, IN_DIRECT),
)


@pytest.fixture
def program_log() -> Iterator[io.StringIO]:
    """Collect all log messages, at level DEBUG."""
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    configure_logging(load_settings(log={"level": "debug"}), verbose=True)
    written = io.StringIO()
    (handler,) = root.handlers
    assert isinstance(handler, logging.StreamHandler)
    handler.setStream(written)
    try:
        yield written
    finally:
        root.handlers[:] = before
        root.setLevel(level)


def forms(secret: str) -> set[bytes]:
    plain = secret.encode()
    return {
        plain,
        quote(secret).encode(),
        quote(secret, safe="").encode(),
        base64.b64encode(plain).rstrip(b"=")[:-1],
    }


async def dump(engine: Engine) -> bytes:
    """Read every column of every table, as text and as bytes."""
    tables = await engine._pool.fetch(
        "SELECT format('%I.%I', schemaname, tablename) AS name FROM pg_tables"
        " WHERE schemaname = 'delivery'"
    )
    values: list[object] = []
    for table in tables:
        for row in await engine._pool.fetch(f"SELECT * FROM {table['name']}"):
            values += row.values()
    return b"\n".join(
        value if isinstance(value, bytes) else str(value).encode() for value in values
    )


def echo(*secrets: str) -> bytes:
    joined = " ".join(secrets)
    encoded = base64.b64encode(f"user:{joined}".encode()).decode()
    return f"got {joined} and {encoded} and {quote(joined, safe='')}".encode()


async def plant(engine: Engine, receiver: Receiver, signing: str) -> list[Any]:
    """Create and run jobs with a secret in each place; return the jobs."""
    receiver.endpoint(
        "/echo",
        Respond(
            200,
            (("Set-Cookie", f"sid={IN_COOKIE}"), ("X-Seen", IN_HEADER), ("Customer-No", IN_OWN)),
            echo(IN_HEADER, IN_QUERY, IN_PAIR, IN_BODY, signing)
            + f'{{"access_token": "{IN_ANSWER}", "n": {{"Password": ["{IN_ANSWER}"]}}}}'.encode(),
        ),
    )
    receiver.endpoint("/moved", Respond(302, (("Location", f"https://a.test/?token={IN_ANSWER}"),)))
    receiver.endpoint("/form", Respond(200, (), f"a=1&access_token={IN_ANSWER}".encode()))
    receiver.endpoint("/drop", Drop())
    receiver.endpoint("/templated", Respond(500, (), echo(IN_TEMPLATE, signing)))
    receiver.endpoint("/payload", Respond(500, (), echo(IN_PAYLOAD)))
    receiver.endpoint("/direct", Respond(200, (), echo(IN_DIRECT)))
    common: dict[str, Any] = {"event_types": ["x"], "retry": QUICK_RETRIES, "secret": signing}
    for path in ("/echo", "/moved", "/drop", "/form"):
        basic = base64.b64encode(f"user:{IN_BASIC}".encode()).decode()
        await engine.reactions.create(
            name=path,
            url=receiver.url(path) + f"?api_key={quote(IN_QUERY, safe='')}",
            query={"token": IN_PAIR},
            headers={
                "Authorization": f"Bearer {IN_HEADER}",
                "X-Auth": f"Basic {basic}",
                "X-Note": f"also {IN_HEADER}",
                "customer-number": IN_OWN,
            },
            body={"kind": "json", "content": {"client": {"secret": IN_BODY}, "open": IN_BODY}},
            **common,
        )
    await engine.reactions.create(name="payload", url=receiver.url("/payload"), **common)
    await engine.reactions.create(
        name="templated",
        url=receiver.url("/templated?token={{ event.given }}"),
        headers={"X-Api-Key": "{{ event.given }}", "X-Note": "{{ event.given }}"},
        body={"kind": "json", "content": {"password": "{{ event.given }}"}},
        **{**common, "event_types": ["y"]},
    )
    payload = (
        b'{"user": {"pass\\u0077ord": "%b"}, "customerNumber": "%b", "token": "%b", "n": null}'
        % (IN_PAYLOAD.encode(), IN_OWN.encode(), IN_PAYLOAD.encode())
    )
    trigger = await engine.trigger("x", payload)
    given = await engine.trigger("y", {"given": IN_TEMPLATE, "api_key": IN_TEMPLATE})
    direct = await engine.jobs.create(
        url=receiver.url("/direct"),
        headers={"Authorization": f"Bearer {IN_DIRECT}"},
        payload={"client_secret": IN_DIRECT},
    )
    return [*trigger.jobs, *given.jobs, direct.id]


async def test_planted_secrets_are_found_neither_in_the_database_nor_in_the_logs(
    database_url: str, program_log: io.StringIO
) -> None:
    signing = generate_secret()
    settings: dict[str, Any] = {
        "secrets": {"keys": [generate_key()]},
        "redaction": {"names": ["customer_number", "Customer-No"]},
    }
    async with (
        Receiver(default=Respond()) as receiver,
        engine_on(database_url, **settings) as engine,
    ):
        with pytest.raises(InvalidReaction) as refused:
            await engine.reactions.create(name="u", url=f"https://user:{IN_HEADER}@a.test/")
        assert IN_HEADER not in str(refused.value)
        async with engine.workers():
            jobs = await plant(engine, receiver, signing)
            await wait_for_all(engine, jobs)
        arrived = b"\n".join(request.body for request in receiver.received)
        for secret in (IN_BODY, IN_PAYLOAD, IN_TEMPLATE, IN_DIRECT):
            assert secret.encode() in arrived, "what is delivered is not redacted"
        logging.getLogger("delivery.test").error(
            "an error repeats %s and postgresql://me:%s@host/db", IN_HEADER, IN_BODY
        )
        stored = await dump(engine)
        logged = program_log.getvalue().encode()
        for secret in (*EVERYTHING, signing.removeprefix("whsec_")):
            for form in forms(secret):
                assert form not in stored, f"{secret} as {form!r}"
                assert form not in logged, f"{secret} as {form!r}"
        assert b"an error repeats ***" in logged
        shown = repr(
            [
                await engine.triggers.get(log.trigger_id)
                for log in await all_logs(engine)
                if log.trigger_id
            ]
        )
        shown += repr(await all_logs(engine)) + repr((await engine.triggers.list()).items)
        shown += repr((await engine.reactions.list()).items)
        for secret in EVERYTHING:
            assert secret not in shown


async def test_values_that_are_not_secret_are_stored_byte_for_byte(database_url: str) -> None:
    payload = b'{ "key": "a/b.txt", "monkey": 1.10,\n "password": null, "tokens_used": [ ] }'
    async with (
        Receiver(default=Respond(body=b'{"design": "shipping"}')) as receiver,
        engine_on(database_url, secrets={"keys": [generate_key()]}) as engine,
    ):
        await engine.reactions.create(name="r", url=receiver.url("/"))
        async with engine.workers():
            trigger = await engine.trigger("x", payload)
            await wait_for_all(engine, trigger.jobs)
        (log,) = await all_logs(engine)
        assert log.request is not None
        assert log.response is not None
        assert log.request.body == payload
        assert log.response.body == b'{"design": "shipping"}'
        assert (await engine.triggers.get(trigger.id)).payload == payload
        assert receiver.received[0].body == payload


async def test_a_payload_with_a_secret_is_encrypted_delivered_and_redacted_in_output(
    database_url: str,
) -> None:
    payload = b'{"user": "ann", "password": "hunter2", "n": 1.10}'
    async with (
        Receiver(default=Respond()) as receiver,
        engine_on(database_url, secrets={"keys": [generate_key()]}) as engine,
    ):
        await engine.reactions.create(name="r", url=receiver.url("/"))
        async with engine.workers():
            trigger = await engine.trigger("x", payload)
            assert trigger.payload == payload, "who gave it gets it back"
            await wait_for_all(engine, trigger.jobs)
        assert receiver.received[0].body == payload
        shown = b'{"user": "ann", "password": "***", "n": 1.10}'
        assert (await engine.triggers.get(trigger.id)).payload == shown
        (log,) = await all_logs(engine)
        assert log.request is not None
        assert log.request.body == shown
        assert log.request.body_size == len(payload)
        assert not log.request.truncated
        assert b"hunter2" not in await dump(engine)


async def test_a_payload_that_was_encrypted_with_a_key_that_is_not_here_waits_for_it(
    database_url: str,
) -> None:
    async with Receiver(default=Respond()) as receiver:
        async with engine_on(database_url, secrets={"keys": [generate_key()]}) as engine:
            await engine.reactions.create(name="r", url=receiver.url("/"))
            trigger = await engine.trigger("x", {"password": "hunter2"})
        async with engine_on(database_url) as engine, engine.workers():

            async def it_says_so() -> bool:
                return "secrets.keys" in str((await engine.jobs.get(trigger.jobs[0])).error)

            await until(it_says_so)
            job = await engine.jobs.get(trigger.jobs[0])
            assert (job.status, job.attempt) == (JobStatus.QUEUED, 0)
            assert receiver.count() == 0


async def test_a_secret_of_the_payload_is_scrubbed_wherever_a_placeholder_put_it(
    database_url: str,
) -> None:
    """Also under names that tell nothing, with a key and without, and in previews."""
    event = {"password": "hunter2-of-payload"}
    for keys in ([generate_key()], []):
        async with (
            Receiver(default=Respond()) as receiver,
            engine_on(database_url, secrets={"keys": keys}) as engine,
        ):
            reaction = await engine.reactions.create(
                name="r",
                event_types=[f"x{len(keys)}"],
                url=receiver.url("/?plain={{ event.password }}"),
                headers={"X-Plain": "{{ event.password }}"},
            )
            preview = await engine.reactions.preview(reaction.id, event)
            called = await engine.reactions.test(reaction.id, event)
            async with engine.workers():
                trigger = await engine.trigger(f"x{len(keys)}", event)
                await wait_for_all(engine, trigger.jobs)
            logs = (await engine.logs.list(job_id=trigger.jobs[0])).items
            assert "hunter2" not in repr((preview, called, logs))
            assert ("X-Plain", "***") in preview.headers
            assert dict(receiver.received[0].headers)["X-Plain"] == "hunter2-of-payload"

"""A redirect is followed within one attempt, and the log says so."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import trustme
from standardwebhooks import Webhook

from delivery import InvalidReaction, JobStatus, Redirect
from delivery.message.storage.encryption import generate_key
from delivery.models import FailureKind, TlsOptions
from delivery.testing import Receiver, Respond
from tests.support.engines import QUICK_RETRIES, SECRET, all_logs, engine_on, wait_for_all
from tests.support.raw_servers import answering, serving
from tests.support.tls_servers import pem, server_context

if TYPE_CHECKING:
    from delivery.models import DeliveryLog, Job

pytestmark = pytest.mark.anyio


async def delivered(
    database_url: str,
    url: str,
    *,
    redirects: int,
    transport: str = "native",
    **params: Any,
) -> tuple[Job, list[DeliveryLog]]:
    async with engine_on(database_url, http={"transport": transport}) as engine:
        await engine.reactions.create(
            name="moved",
            event_types=["*"],
            url=url,
            secret=SECRET,
            headers={"X-Api-Key": "hunter2", "X-Note": "as hunter2", "X-Plain": "x"},
            redirects=redirects,
            retry=QUICK_RETRIES,
            **params,
        )
        trigger = await engine.trigger("order.paid", {"total": 12})
        async with engine.workers():
            (job,) = await wait_for_all(engine, trigger.jobs)
        return job, await all_logs(engine)


@pytest.mark.parametrize("transport", ["native", "httpx"])
async def test_a_redirect_is_one_attempt_with_one_row_for_both_responses(
    database_url: str, transport: str
) -> None:
    async with Receiver(default=Respond(200, body=b"thanks")) as target, Receiver() as moved:
        moved.endpoint(
            "/old", Respond(301, headers=(("Location", target.url("/new?token=hunter2")),))
        )
        job, (log,) = await delivered(
            database_url, moved.url("/old"), redirects=1, transport=transport
        )
    assert job.status is JobStatus.SUCCEEDED
    (received,) = target.received
    assert received.method == "POST"
    assert received.body == b'{"total":12}'
    assert Webhook(SECRET).verify(received.body, dict(received.headers)) == {"total": 12}
    names = {name.lower() for name, _ in received.headers}
    assert "x-plain" in names
    # A header that looks secret, and one that repeats that secret.
    assert not names & {"x-api-key", "x-note"}
    assert (log.status_code, log.attempt, log.error) == (200, 1, None)
    assert log.endpoint == moved.url("/old")
    assert log.redirects == (Redirect(301, target.url("/new?token=***")),)
    assert log.response is not None
    assert log.response.body == b"thanks"
    assert "location" not in {name.lower() for name, _ in log.response.headers}


async def test_without_the_option_a_redirect_is_a_failure(database_url: str) -> None:
    async with Receiver() as target, Receiver() as moved:
        moved.endpoint("/old", Respond(302, headers=(("Location", target.url("/new")),)))
        job, (log,) = await delivered(database_url, moved.url("/old"), redirects=0)
        assert not target.received
    assert job.status is JobStatus.FAILED
    assert (log.status_code, log.redirects, log.error) == (302, (), None)
    assert log.response is not None


async def test_a_redirect_to_a_private_address_fails_the_job_immediately(database_url: str) -> None:
    async with Receiver(default=Respond(302, headers=(("Location", "http://10.0.0.1/"),))) as moved:
        job, (log,) = await delivered(database_url, moved.url("/old"), redirects=3)
    assert job.status is JobStatus.FAILED
    assert job.failure_kind is FailureKind.BLOCKED
    assert log.status_code == 302
    assert "10.0.0.1 is not a public address" in (log.error or "")


@pytest.mark.parametrize("compression", [None, "gzip"])
@pytest.mark.parametrize(
    "body",
    [
        {"kind": "json", "content": {"client": {"secret": "hunter2-hunter2"}}},
        {"kind": "form", "content": {"password": "{{ event.total }}"}},
        {"kind": "raw", "content": "user=a&password=hunter2-hunter2"},
        {"kind": "raw", "content": '{"password": {{ event.total | json }}}'},
    ],
)
async def test_a_body_with_secrets_is_sent_to_no_other_origin(
    database_url: str, body: dict[str, Any], compression: str | None
) -> None:
    async with Receiver() as target, Receiver() as moved:
        moved.endpoint("/old", Respond(307, headers=(("Location", "/here"),)))
        moved.endpoint("/here", Respond(307, headers=(("Location", target.url("/there")),)))
        job, (log,) = await delivered(
            database_url, moved.url("/old"), redirects=2, body=body, compression=compression
        )
        assert not target.received
        assert [each.target for each in moved.received] == ["/old", "/here"]
    assert job.failure_kind is FailureKind.BLOCKED
    assert log.error is not None
    assert f"the body contains secrets, and {target.url('/there')} has another origin" in log.error


@pytest.mark.parametrize(
    ("event", "params"),
    [
        ({"total_tokens": 12, "signature_required": True}, {}),
        ({"password": "hunter2-of-event", "api_key": "hunter2-of-event"}, {}),
        ({"password": "hunter2-of-event"}, {"body": {"kind": "envelope"}}),
        (
            {"note": "hunter2-of-event", "token": "hunter2-of-event"},
            {"body": {"kind": "json", "content": {"text": "{{ event.note }}", "token_count": "1"}}},
        ),
        ({}, {"body": {"kind": "json", "content": {"total_tokens": 12, "secret_sent": True}}}),
        ({}, {"body": {"kind": "raw", "content": '{"password_policy": {"length": 12}}'}}),
    ],
)
@pytest.mark.parametrize("keys", [0, 1])
async def test_a_secret_looking_value_in_an_event_decides_no_redirect(
    database_url: str, event: dict[str, Any], params: dict[str, Any], keys: int
) -> None:
    settings: dict[str, Any] = {"secrets": {"keys": [generate_key()] * keys}}
    async with Receiver(default=Respond(200)) as target, Receiver() as moved:
        moved.endpoint("/old", Respond(307, headers=(("Location", target.url("/new")),)))
        async with engine_on(database_url, **settings) as engine:
            await engine.reactions.create(
                name="moved",
                event_types=["*"],
                url=moved.url("/old"),
                secret=SECRET,
                headers={"Authorization": "Bearer of-call", "X-Token-Count": "12"},
                redirects=1,
                retry=QUICK_RETRIES,
                **params,
            )
            trigger = await engine.trigger("order.paid", event)
            async with engine.workers():
                (job,) = await wait_for_all(engine, trigger.jobs)
            (log,) = await all_logs(engine)
    assert (job.status, log.error) == (JobStatus.SUCCEEDED, None)
    (received,) = target.received
    assert received.body == moved.received[0].body
    headers = {name.lower(): value for name, value in received.headers}
    assert headers.get("x-token-count") == "12"
    assert "authorization" not in headers
    assert "hunter2" not in repr(log), "the log hides it all the same"


@pytest.mark.parametrize(
    "params",
    [
        {"headers": {"X-Api-Key": "hunter2-of-call"}},
        {"headers": {"X-Api-Key": "{{ event.note }}"}},
        {"query": {"token": "hunter2-of-call"}},
        {"headers": {"Authorization": "Basic dTpodW50ZXIyLW9mLWNhbGw="}},
    ],
)
async def test_a_body_that_repeats_a_credential_of_the_call_is_sent_to_no_other_origin(
    database_url: str, params: dict[str, Any]
) -> None:
    async with Receiver() as target, Receiver() as moved:
        moved.endpoint("/old", Respond(307, headers=(("Location", target.url("/new")),)))
        async with engine_on(database_url) as engine:
            await engine.reactions.create(
                name="moved", url=moved.url("/old"), redirects=1, retry=QUICK_RETRIES, **params
            )
            trigger = await engine.trigger("order.paid", {"note": "hunter2-of-call"})
            async with engine.workers():
                (job,) = await wait_for_all(engine, trigger.jobs)
        assert not target.received
    assert job.failure_kind is FailureKind.BLOCKED


async def test_an_exempted_name_changes_nothing_about_redirects(database_url: str) -> None:
    settings: dict[str, Any] = {"redaction": {"exempt": ["x-traded-token"]}}
    async with Receiver(default=Respond(200)) as target, Receiver() as moved:
        moved.endpoint("/old", Respond(307, headers=(("Location", target.url("/new")),)))
        async with engine_on(database_url, **settings) as engine:
            reaction = await engine.reactions.create(
                name="moved",
                url=moved.url("/old"),
                redirects=1,
                headers={"X-Traded-Token": "shown-but-not-passed-on"},
            )
            assert ("X-Traded-Token", "shown-but-not-passed-on") in reaction.params.headers
            trigger = await engine.trigger("order.paid", {})
            async with engine.workers():
                await wait_for_all(engine, trigger.jobs)
    assert "x-traded-token" not in {name.lower() for name, _ in target.received[0].headers}


async def test_a_test_call_follows_redirects_too(database_url: str) -> None:
    async with Receiver(default=Respond(204)) as target, Receiver() as moved:
        moved.endpoint("/old", Respond(308, headers=(("Location", target.url("/new")),)))
        async with engine_on(database_url) as engine:
            reaction = await engine.reactions.create(
                name="moved", event_types=["*"], url=moved.url("/old"), redirects=2
            )
            called = await engine.reactions.test(reaction.id, {})
    assert called.succeeded
    assert called.status_code == 204


@pytest.mark.parametrize("redirects", [-1, 4, True, 1.0, "1", None])
async def test_an_impossible_number_of_redirects_is_refused(
    database_url: str, redirects: object
) -> None:
    async with engine_on(database_url) as engine:
        with pytest.raises(InvalidReaction, match=r"redirects is .* whole number from 0"):
            await engine.reactions.create(
                name="moved",
                event_types=["*"],
                url="https://example.com/",
                redirects=redirects,  # type: ignore[arg-type]
            )


async def test_a_redirect_to_http_is_refused_when_https_is_required(database_url: str) -> None:
    authority = trustme.CA()
    context = server_context(authority, "127.0.0.1")
    moved = b"HTTP/1.1 307 Moved\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n"
    async with (
        serving(answering(moved), tls=context) as server,
        engine_on(database_url, http={"require_https": True}) as engine,
    ):
        call: dict[str, Any] = {"redirects": 1, "tls": TlsOptions(ca=pem(authority.cert_pem))}
        with pytest.raises(InvalidReaction, match=r"http\.require_https"):
            await engine.jobs.create(url="http://127.0.0.1:1/", **call)
        made = await engine.jobs.create(url=server.url, **call)
        async with engine.workers():
            (job,) = await wait_for_all(engine, [made.id])
    assert job.failure_kind is FailureKind.BLOCKED

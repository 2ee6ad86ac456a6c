"""Calls with placeholders, from the trigger to the request."""

from __future__ import annotations

import gzip
from typing import TYPE_CHECKING

import orjson
import pytest
from standardwebhooks import Webhook

import delivery
from delivery import FailureKind, InvalidReaction, JobStatus
from delivery.testing import Receiver, Respond
from tests.support.engines import SECRET, all_logs, engine_on, wait_for_all

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.anyio

ORDER = (
    b'{"id": 12345678901234567890123, "price": 1.10, "to": "a/b", "note": null, "nul": "\\u0000"}'
)


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with Receiver(default=Respond()) as running:
        yield running


async def test_url_query_headers_and_body_are_filled_in_signed_and_logged(
    database_url: str, receiver: Receiver
) -> None:
    async with engine_on(database_url) as engine:
        reaction = await engine.reactions.create(
            name="templated",
            url=receiver.url("/orders/{{ event.to }}"),
            query={"kind": "{{ trigger.type }}", "token": "{{ event.to }}"},
            headers={"X-Try": "{{ job.attempt }} for {{ reaction.name }}"},
            body={
                "kind": "json",
                "content": {
                    "id": "{{ event.id }}",
                    "price": "{{ event.price }}",
                    "n": "{{ event.nul }}",
                },
            },
            secret=SECRET,
        )
        async with engine.workers():
            trigger = await engine.trigger("order.paid", ORDER)
            (job,) = await wait_for_all(engine, trigger.jobs)
        assert job.status is JobStatus.SUCCEEDED
        (request,) = receiver.received
        assert request.target == "/orders/a%2Fb?kind=order.paid&token=a%2Fb"
        assert request.header("x-try") == "1 for templated"
        assert request.body == b'{"id":12345678901234567890123,"price":1.10,"n":"\\u0000"}'
        Webhook(SECRET).verify(request.body, dict(request.headers))
        (log,) = await all_logs(engine, reaction_id=reaction.id)
        assert log.endpoint == receiver.url("/orders/a%2Fb?kind=order.paid&token=***")
        assert log.request is not None
        assert log.request.body == request.body


ARRIVES = {
    "plain": "/p/plain/end?q=plain&z=1",
    "a/b?c#d": "/p/a%2Fb%3Fc%23d/end?q=a%2Fb%3Fc%23d&z=1",
    "@evil.test": "/p/%40evil.test/end?q=%40evil.test&z=1",
    "x&z=2": "/p/x%26z%3D2/end?q=x%26z%3D2&z=1",
    "%2e%2e": "/p/%252e%252e/end?q=%252e%252e&z=1",
    "Zo\u00eb": "/p/Zo%C3%AB/end?q=Zo%C3%AB&z=1",
    "//evil.test": "/p/%2F%2Fevil.test/end?q=%2F%2Fevil.test&z=1",
}
REFUSED = {
    "one\r\nX-Evil: 1": "line break or control character",
    "one\r\n\r\nGET /evil HTTP/1.1": "line break or control character",
    "a\u0000b": "line break or control character",
    "\u2603": "not in ISO 8859-1",
    "..": "path . or ..",
    "../../admin": "path . or ..",
    "x" * 9_000: "longer than",
}


async def test_hostile_values_arrive_as_the_values_they_are_or_are_not_sent_at_all(
    database_url: str, receiver: Receiver
) -> None:
    async with engine_on(database_url) as engine:
        await engine.reactions.create(
            name="r",
            url=receiver.url("/p/{{ event.v }}/end?q={{ event.v }}&z=1"),
            headers={"X-Value": "{{ event.v }}"},
            body={"kind": "json", "content": {"v": "{{ event.v }}"}},
        )
        async with engine.workers():
            triggers = [await engine.trigger("x", {"v": value}) for value in (*ARRIVES, *REFUSED)]
            jobs = await wait_for_all(engine, [trigger.jobs[0] for trigger in triggers])
        for job, reason in zip(jobs[len(ARRIVES) :], REFUSED.values(), strict=True):
            assert (job.failure_kind, job.attempt) == (FailureKind.MISCONFIGURED, 1)
            assert reason in str(job.error)
        assert {job.status for job in jobs[: len(ARRIVES)]} == {JobStatus.SUCCEEDED}
    arrived = {orjson.loads(request.body)["v"]: request for request in receiver.received}
    assert {value: request.target for value, request in arrived.items()} == ARRIVES
    for value, request in arrived.items():
        assert request.header("x-value") == value
        assert request.header("x-evil") is None
        assert request.header("host") == receiver.url("").removeprefix("http://").rstrip("/")


async def test_a_missing_value_fails_the_job_immediately_with_an_honest_row(
    database_url: str, receiver: Receiver
) -> None:
    async with engine_on(database_url) as engine:
        await engine.reactions.create(name="r", url=receiver.url("/{{ event.gone }}"))
        async with engine.workers():
            trigger = await engine.trigger("x", ORDER)
            (job,) = await wait_for_all(engine, trigger.jobs)
        assert job.status is JobStatus.FAILED
        assert job.failure_kind is FailureKind.MISCONFIGURED
        assert "{{ event.gone }} has no value: event is an object without .gone" in str(job.error)
        (log,) = await all_logs(engine)
        assert log.failure_kind is FailureKind.MISCONFIGURED
        assert log.request is None
        assert log.error == job.error
        assert receiver.count() == 0


async def test_a_direct_job_takes_placeholders_too(database_url: str, receiver: Receiver) -> None:
    async with engine_on(database_url) as engine:
        async with engine.workers():
            job = await engine.jobs.create(url=receiver.url("/{{ event.to }}"), payload=ORDER)
            (done,) = await wait_for_all(engine, [job.id])
        assert done.status is JobStatus.SUCCEEDED
        assert receiver.received[0].target == "/a%2Fb"


async def test_a_template_that_cannot_be_read_is_refused_when_the_reaction_is_saved(
    database_url: str,
) -> None:
    async with engine_on(database_url) as engine:
        with pytest.raises(InvalidReaction, match=r"headers\.X, character 4: expected one of"):
            await engine.reactions.create(name="r", url="https://a.test", headers={"X": "{{ }}"})
        with pytest.raises(InvalidReaction, match="only the path and the query can"):
            await engine.reactions.create(name="r", url="https://{{ event.host }}/")
        assert (await engine.reactions.list()).items == ()


async def test_a_compressed_body_is_signed_as_sent_and_logged_as_meant(
    database_url: str, receiver: Receiver
) -> None:
    async with engine_on(database_url) as engine:
        for body in ({"kind": "envelope"}, {"kind": "payload"}):
            await engine.reactions.create(
                name="small",
                url=receiver.url("/z"),
                body=body,
                compression="gzip",
                secret=SECRET,
            )
        async with engine.workers():
            trigger = await engine.trigger("x", {"text": "a" * 5_000})
            await wait_for_all(engine, trigger.jobs)
        for request in receiver.received:
            assert request.header("content-encoding") == "gzip"
            assert len(request.body) < 500
            delivery.verify(request.body, request.headers, SECRET)
        for log in await all_logs(engine):
            assert log.request is not None
            assert b"a" * 5_000 in log.request.body
            assert log.request.body_size > 5_000
        assert {len(gzip.decompress(each.body)) > 5_000 for each in receiver.received} == {True}

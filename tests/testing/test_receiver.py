"""The receiver speaks real HTTP/1.1, does as it is told, and remembers what arrived."""

from __future__ import annotations

import asyncio
import ssl
import time
from typing import TYPE_CHECKING

import httpx
import pytest
import trustme

from delivery.errors import AddressInUse, InvalidInput
from delivery.testing import Drop, FailFirst, Hang, Receiver, Respond, Sequence
from delivery.testing.behaviours import next_step

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.anyio

BOTH = b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n"


def message(webhook_id: str) -> dict[str, str]:
    return {"webhook-id": webhook_id}


async def raw(receiver: Receiver, sent: bytes) -> bytes:
    """Everything that comes back for these bytes until the receiver closes."""
    reader, writer = await asyncio.open_connection(receiver.host, receiver.port)
    writer.write(sent)
    async with asyncio.timeout(5):
        answer = await reader.read()
    writer.close()
    return answer


async def test_an_endpoint_answers_as_programmed_and_records_what_arrived() -> None:
    """Status, headers and body go out; method, target, headers and body are kept."""
    async with Receiver() as receiver, httpx.AsyncClient() as client:
        answer = Respond(202, (("X-Test", "yes"),), b"taken")
        url = receiver.endpoint("/orders", answer)
        before = time.time()
        response = await client.put(f"{url}?a=1", content=b"\x00\xff", headers={"X-Odd": "1"})
        assert (response.status_code, response.content) == (202, b"taken")
        assert response.headers["x-test"] == "yes"
        (request,) = receiver.received
        assert (request.method, request.path, request.target) == ("PUT", "/orders", "/orders?a=1")
        assert request.body == b"\x00\xff"
        assert request.header("x-odd") == "1"
        assert ("X-Odd", "1") in request.headers
        assert request.header("absent") is None
        assert before <= request.received_at <= time.time()


async def test_an_unknown_path_is_404_unless_a_default_says_otherwise() -> None:
    """A mistyped path must not look like a success."""
    async with Receiver() as strict, Receiver(default=Respond(204)) as lenient:
        async with httpx.AsyncClient() as client:
            assert (await client.get(strict.url("/nowhere"))).status_code == 404
            assert (await client.get(lenient.url("/nowhere"))).status_code == 204
        assert strict.count("/nowhere") == 1


async def test_fail_first_counts_each_message_by_itself() -> None:
    """Two failures for each webhook-id, then success."""
    async with Receiver() as receiver, httpx.AsyncClient() as client:
        url = receiver.endpoint("/flaky", FailFirst(2, failure=Respond(500)))
        statuses = [
            (await client.post(url, headers=message(name))).status_code
            for name in ("m1", "m1", "m2", "m1", "m2", "m2")
        ]
        assert statuses == [500, 500, 500, 200, 500, 200]
        assert receiver.counts == {("/flaky", "m1"): 3, ("/flaky", "m2"): 3}


async def test_a_sequence_goes_step_by_step_and_repeats_its_last() -> None:
    """Dropping is a step like any other."""
    async with Receiver() as receiver, httpx.AsyncClient() as client:
        url = receiver.endpoint("/s", Sequence((Respond(429), Drop(), Respond(201))))
        assert (await client.post(url)).status_code == 429
        with pytest.raises(httpx.RemoteProtocolError):
            await client.post(url)
        assert [(await client.post(url)).status_code for _ in range(2)] == [201, 201]


def test_a_sequence_without_steps_is_refused() -> None:
    """There would be nothing to do."""
    with pytest.raises(ValueError, match="at least one step"):
        Sequence(())


def test_requests_without_webhook_id_count_as_one_message() -> None:
    """They share the empty id."""
    flaky = FailFirst(1)
    assert next_step(flaky, of_path=5, of_message=0) == flaky.failure
    assert next_step(flaky, of_path=5, of_message=1) == flaky.then


async def test_hanging_keeps_the_connection_open_without_an_answer() -> None:
    """The client's own limit ends it, and closing the receiver does not wait for it."""
    async with Receiver() as receiver, httpx.AsyncClient(timeout=0.1) as client:
        url = receiver.endpoint("/hang", Hang())
        with pytest.raises(httpx.ReadTimeout):
            await client.post(url)
        assert receiver.count("/hang") == 1


async def test_closing_cuts_a_connection_that_hangs() -> None:
    """The end of the block does not depend on clients."""
    async with Receiver() as receiver:
        receiver.endpoint("/hang", Hang())
        reader, writer = await asyncio.open_connection(receiver.host, receiver.port)
        writer.write(b"GET /hang HTTP/1.1\r\nHost: x\r\n\r\n")
        await receiver.wait_for(1)
    async with asyncio.timeout(5):
        with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
            await reader.readexactly(1)
    writer.close()


async def test_a_delay_holds_back_later_answers_of_the_same_connection() -> None:
    """Pipelined requests are answered in the order they were sent."""
    async with Receiver() as receiver:
        receiver.endpoint("/slow", Respond(body=b"slow", delay=0.05))
        receiver.endpoint("/fast", Respond(body=b"fast"))
        started = time.monotonic()
        answer = await raw(
            receiver,
            b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n"
            b"GET /fast HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        )
        assert time.monotonic() - started >= 0.05
        assert answer.index(b"slow") < answer.index(b"fast")


async def test_no_answer_comes_before_its_delay_is_over() -> None:
    """Timers of uvloop have whole milliseconds, so they come early for a delay such as this."""
    delay = 0.00549
    async with Receiver(default=Respond(delay=delay)) as receiver:
        reader, writer = await asyncio.open_connection(receiver.host, receiver.port)
        took = []
        for _ in range(100):
            started = time.monotonic()
            writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            await reader.readuntil(b"\r\n\r\n")
            took.append(time.monotonic() - started)
        writer.close()
        assert min(took) >= delay


async def test_connections_are_kept_alive_and_closed_when_asked() -> None:
    """HTTP/1.0 and Connection: close end the connection; other requests do not."""
    async with Receiver(default=Respond(body=b"ok")) as receiver:
        for last in (b"HTTP/1.0\r\n\r\n", b"HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"):
            answer = await raw(receiver, BOTH + b"GET /b " + last)
            assert answer.count(b"HTTP/1.1 200 OK") == 2
            assert answer.count(b"Connection: close") == 1


async def test_a_chunked_body_arrives_whole() -> None:
    """Transfer coding is taken off, whatever pieces it comes in."""
    async with Receiver(default=Respond()) as receiver, httpx.AsyncClient() as client:

        async def pieces() -> AsyncIterator[bytes]:
            for piece in (b"a" * 70_000, b"b"):
                yield piece

        await client.post(receiver.url("/"), content=pieces())
        assert receiver.received[0].body == b"a" * 70_000 + b"b"


async def test_a_client_that_expects_continue_is_told_to_go_on() -> None:
    """The interim answer comes before the body is sent."""
    async with Receiver(default=Respond()) as receiver:
        reader, writer = await asyncio.open_connection(receiver.host, receiver.port)
        writer.write(
            b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n"
        )
        async with asyncio.timeout(5):
            assert await reader.readline() == b"HTTP/1.1 100 Continue\r\n"
            writer.write(b"ok")
            assert await reader.readuntil(b"200 OK\r\n")
        writer.close()
        assert receiver.received[0].body == b"ok"


@pytest.mark.parametrize("status", [204, 304])
async def test_a_status_without_a_body_sends_none(status: int) -> None:
    """No Content-Length either, as RFC 9110 wants it."""
    async with Receiver(default=Respond(status, body=b"never")) as receiver:
        answer = await raw(receiver, b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert b"never" not in answer
        assert b"content-length" not in answer.lower()


async def test_head_is_answered_without_the_body() -> None:
    """With the length it would have had."""
    async with Receiver(default=Respond(body=b"12345")) as receiver, httpx.AsyncClient() as client:
        response = await client.head(receiver.url("/"))
        assert (response.headers["content-length"], response.content) == ("5", b"")


async def test_what_is_not_http_is_answered_with_400() -> None:
    """And the connection is closed."""
    async with Receiver() as receiver:
        assert (await raw(receiver, b"\x16\x03\x01 hello\r\n\r\n")).startswith(b"HTTP/1.1 400 ")
        assert receiver.count() == 0


async def test_only_the_newest_requests_are_kept_but_all_are_counted() -> None:
    """Memory is bounded by `keep`."""
    async with Receiver(default=Respond(), keep=2) as receiver, httpx.AsyncClient() as client:
        for number in range(4):
            await client.post(receiver.url("/"), content=b"%d" % number)
        assert [request.body for request in receiver.received] == [b"2", b"3"]
        assert receiver.count() == 4


async def test_waiting_ends_when_the_requests_have_arrived_or_says_what_has() -> None:
    """One path can be waited for."""
    async with Receiver(default=Respond()) as receiver, httpx.AsyncClient() as client:
        waiting = asyncio.create_task(receiver.wait_for(2, path="/a"))
        for path in ("/a", "/b", "/a"):
            await client.get(receiver.url(path))
        assert [request.path for request in await waiting] == ["/a", "/a"]
        with pytest.raises(TimeoutError, match=r"5 requests .* arrived: 2 to /a, 1 to /b"):
            await receiver.wait_for(5, timeout=0.01)


async def test_tls_is_spoken_with_a_given_context() -> None:
    """The URL says https."""
    authority = trustme.CA()
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(server)
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    async with (
        Receiver(default=Respond(), ssl_context=server) as receiver,
        httpx.AsyncClient(verify=trusting) as client,
    ):
        assert receiver.url("/x").startswith("https://127.0.0.1:")
        assert (await client.get(receiver.url("/x"))).status_code == 200


async def test_a_port_in_use_is_said_to_be() -> None:
    """With what to do about it."""
    async with Receiver() as first:
        with pytest.raises(AddressInUse, match=f"port {first.port} of 127.0.0.1 is in use"):
            async with Receiver(port=first.port):
                pass


@pytest.mark.parametrize(
    ("host", "port", "text"),
    [
        ("192.0.2.1", 0, "cannot listen on port 0 of 192.0.2.1: .*; choose another"),
        ("127.0.0.1", 70_000, "port 70000 does not exist"),
    ],
)
async def test_an_address_that_cannot_be_listened_on_is_refused(
    host: str, port: int, text: str
) -> None:
    """Another machine's address, or a port that cannot be."""
    with pytest.raises(InvalidInput, match=text):
        async with Receiver(host=host, port=port):
            pass


@pytest.mark.parametrize("path", ["orders", "/orders?a=1"])
def test_an_endpoint_must_be_a_plain_path(path: str) -> None:
    """A query would never match."""
    with pytest.raises(ValueError, match="starts with /"):
        Receiver().endpoint(path)

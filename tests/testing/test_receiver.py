"""The receiver of `delivery.testing`: behaviours, records and HTTP/1.1."""

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
    """Send bytes, and read until the receiver closes."""
    reader, writer = await asyncio.open_connection(receiver.host, receiver.port)
    writer.write(sent)
    async with asyncio.timeout(30):
        received = await reader.read()
    writer.close()
    return received


async def test_an_endpoint_responds_as_programmed_and_records_the_request() -> None:
    """Both the response and the record of the request are complete."""
    async with Receiver() as receiver, httpx.AsyncClient() as client:
        response_step = Respond(202, (("X-Test", "yes"),), b"taken")
        url = receiver.endpoint("/orders", response_step)
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


async def test_an_unknown_path_returns_404_unless_there_is_a_default() -> None:
    """A mistyped path must not look like a success."""
    async with Receiver() as strict, Receiver(default=Respond(204)) as lenient:
        async with httpx.AsyncClient() as client:
            assert (await client.get(strict.url("/nowhere"))).status_code == 404
            assert (await client.get(lenient.url("/nowhere"))).status_code == 204
        assert strict.count("/nowhere") == 1


async def test_fail_first_counts_each_message_separately() -> None:
    """Each webhook-id has two failures, then success."""
    async with Receiver() as receiver, httpx.AsyncClient() as client:
        url = receiver.endpoint("/flaky", FailFirst(2, failure=Respond(500)))
        statuses = [
            (await client.post(url, headers=message(name))).status_code
            for name in ("m1", "m1", "m2", "m1", "m2", "m2")
        ]
        assert statuses == [500, 500, 500, 200, 500, 200]
        assert receiver.counts == {("/flaky", "m1"): 3, ("/flaky", "m2"): 3}


async def test_a_sequence_takes_its_steps_in_order_and_repeats_the_last() -> None:
    """`Drop` can be a step."""
    async with Receiver() as receiver, httpx.AsyncClient() as client:
        url = receiver.endpoint("/s", Sequence((Respond(429), Drop(), Respond(201))))
        assert (await client.post(url)).status_code == 429
        with pytest.raises(httpx.RemoteProtocolError):
            await client.post(url)
        assert [(await client.post(url)).status_code for _ in range(2)] == [201, 201]


def test_a_sequence_without_steps_is_rejected() -> None:
    """The error is raised at construction."""
    with pytest.raises(ValueError, match="at least one step"):
        Sequence(())


def test_requests_without_webhook_id_count_as_one_message() -> None:
    """Their id is the empty string."""
    flaky = FailFirst(1)
    assert next_step(flaky, of_path=5, of_message=0) == flaky.failure
    assert next_step(flaky, of_path=5, of_message=1) == flaky.then


async def test_hang_leaves_the_connection_open_without_a_response() -> None:
    """The client times out, and closing the receiver does not wait for the connection."""
    limits = httpx.Timeout(30, read=0.1)
    async with Receiver() as receiver, httpx.AsyncClient(timeout=limits) as client:
        url = receiver.endpoint("/hang", Hang())
        with pytest.raises(httpx.ReadTimeout):
            await client.post(url)
        await receiver.wait_for(1, path="/hang")


async def test_closing_ends_a_hanging_connection() -> None:
    """The end of the block does not wait for clients."""
    async with Receiver() as receiver:
        receiver.endpoint("/hang", Hang())
        reader, writer = await asyncio.open_connection(receiver.host, receiver.port)
        writer.write(b"GET /hang HTTP/1.1\r\nHost: x\r\n\r\n")
        await receiver.wait_for(1)
    async with asyncio.timeout(30):
        with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
            await reader.readexactly(1)
    writer.close()


async def test_a_delay_defers_later_responses_of_the_same_connection() -> None:
    """Responses to pipelined requests have the order of the requests."""
    async with Receiver() as receiver:
        receiver.endpoint("/slow", Respond(body=b"slow", delay=0.05))
        receiver.endpoint("/fast", Respond(body=b"fast"))
        started = time.monotonic()
        received = await raw(
            receiver,
            b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n"
            b"GET /fast HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        )
        assert time.monotonic() - started >= 0.05
        assert received.index(b"slow") < received.index(b"fast")


async def test_no_response_is_sent_before_the_end_of_its_delay() -> None:
    """Timers of uvloop have a precision of 1 ms, so they fire too early for this delay."""
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


async def test_connections_are_kept_alive_unless_the_client_requests_a_close() -> None:
    """HTTP/1.0 and Connection: close end the connection; other requests do not."""
    async with Receiver(default=Respond(body=b"ok")) as receiver:
        for last in (b"HTTP/1.0\r\n\r\n", b"HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"):
            received = await raw(receiver, BOTH + b"GET /b " + last)
            assert received.count(b"HTTP/1.1 200 OK") == 2
            assert received.count(b"Connection: close") == 1


async def test_a_chunked_body_arrives_completely() -> None:
    """The transfer coding is removed."""
    async with Receiver(default=Respond()) as receiver, httpx.AsyncClient() as client:

        async def pieces() -> AsyncIterator[bytes]:
            for piece in (b"a" * 70_000, b"b"):
                yield piece

        await client.post(receiver.url("/"), content=pieces())
        assert receiver.received[0].body == b"a" * 70_000 + b"b"


async def test_a_client_that_expects_continue_receives_100() -> None:
    """The interim response is sent before the body arrives."""
    async with Receiver(default=Respond()) as receiver:
        reader, writer = await asyncio.open_connection(receiver.host, receiver.port)
        writer.write(
            b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n"
        )
        async with asyncio.timeout(30):
            assert await reader.readline() == b"HTTP/1.1 100 Continue\r\n"
            writer.write(b"ok")
            assert await reader.readuntil(b"200 OK\r\n")
        writer.close()
        assert receiver.received[0].body == b"ok"


@pytest.mark.parametrize("status", [204, 304])
async def test_a_status_without_a_body_has_no_body(status: int) -> None:
    """It has no Content-Length either (RFC 9110, 8.6)."""
    async with Receiver(default=Respond(status, body=b"never")) as receiver:
        received = await raw(receiver, b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert b"never" not in received
        assert b"content-length" not in received.lower()


async def test_a_response_to_head_has_no_body() -> None:
    """It has the length of the omitted body."""
    async with Receiver(default=Respond(body=b"12345")) as receiver, httpx.AsyncClient() as client:
        response = await client.head(receiver.url("/"))
        assert (response.headers["content-length"], response.content) == ("5", b"")


async def test_a_malformed_request_returns_400() -> None:
    """The connection is closed, and the request not counted."""
    async with Receiver() as receiver:
        assert (await raw(receiver, b"\x16\x03\x01 hello\r\n\r\n")).startswith(b"HTTP/1.1 400 ")
        assert receiver.count() == 0


async def test_only_the_newest_requests_are_stored_but_all_are_counted() -> None:
    """Memory is bounded by `keep`."""
    async with Receiver(default=Respond(), keep=2) as receiver, httpx.AsyncClient() as client:
        for number in range(4):
            await client.post(receiver.url("/"), content=b"%d" % number)
        assert [request.body for request in receiver.received] == [b"2", b"3"]
        assert receiver.count() == 4


async def test_wait_for_returns_the_requests_or_raises_their_numbers() -> None:
    """The wait can be limited to one path."""
    async with Receiver(default=Respond()) as receiver, httpx.AsyncClient() as client:
        waiting = asyncio.create_task(receiver.wait_for(2, path="/a"))
        for path in ("/a", "/b", "/a"):
            await client.get(receiver.url(path))
        assert [request.path for request in await waiting] == ["/a", "/a"]
        with pytest.raises(TimeoutError, match=r"5 requests .* arrived: 2 to /a, 1 to /b"):
            await receiver.wait_for(5, timeout=0.01)


async def test_a_context_enables_tls() -> None:
    """The scheme of the URL is https."""
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


async def test_a_port_in_use_raises_an_error() -> None:
    """The error contains the remedy."""
    async with Receiver() as first:
        with pytest.raises(AddressInUse, match=f"port {first.port} of 127.0.0.1 is in use"):
            async with Receiver(port=first.port):
                pass


@pytest.mark.parametrize(
    ("host", "port", "text"),
    [
        ("192.0.2.1", 0, "cannot listen on port 0 of 192.0.2.1: .*; choose another"),
        ("127.0.0.1", 70_000, "port 70000 is out of range"),
    ],
)
async def test_an_unusable_address_raises_an_error(host: str, port: int, text: str) -> None:
    """The address is another machine's, or the port is out of range."""
    with pytest.raises(InvalidInput, match=text):
        async with Receiver(host=host, port=port):
            pass


@pytest.mark.parametrize("path", ["orders", "/orders?a=1"])
def test_the_path_of_an_endpoint_is_validated(path: str) -> None:
    """A query would never match."""
    with pytest.raises(ValueError, match="must start with /"):
        Receiver().endpoint(path)

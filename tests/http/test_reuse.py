"""Reuse of connections, and repetition of requests on connections closed while idle."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from delivery.http.open_files import FileShares
from delivery.models import FailureKind
from tests.support.raw_servers import (
    OK,
    Connected,
    RawServer,
    answering,
    native,
    read_request,
    request_to,
    serving,
    until,
)

if TYPE_CHECKING:
    from delivery.http.native import NativeTransport

pytestmark = pytest.mark.anyio


def is_idle(transport: NativeTransport) -> bool:
    """Return whether the transport has no connections, no slots in use and no waiting calls."""
    return not (transport._open or transport._idle or transport._pools)


async def test_the_connection_used_last_is_used_next() -> None:
    async with serving(answering(OK)) as server, native() as transport:
        await asyncio.gather(*[transport.send(request_to(server.url)) for _ in range(5)])
        opened = len(server.connections)
        assert 1 < opened <= 5
        server.requests.clear()
        for _ in range(10):
            assert (await transport.send(request_to(server.url))).reused
        assert len(server.connections) == opened


@pytest.mark.parametrize(
    "response",
    [
        pytest.param(
            b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok", id="close"
        ),
        pytest.param(b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", id="HTTP/1.0"),
        pytest.param(OK + b"HTTP/1.1 500 Unasked\r\n\r\n", id="another response"),
        pytest.param(OK + b"{", id="junk"),
    ],
)
async def test_a_connection_in_an_unknown_state_is_closed(response: bytes) -> None:
    async with serving(answering(response)) as server, native() as transport:
        for _ in range(3):
            exchange = await transport.send(request_to(server.url))
            assert exchange.status_code == 200
            assert exchange.response_body == b"ok"
            assert not exchange.reused
        await until(lambda: is_idle(transport))
        assert len(server.connections) == 3


async def test_unrequested_data_closes_the_connection() -> None:
    async with serving(answering(OK)) as server, native() as transport:
        await transport.send(request_to(server.url))
        await server.connections[0].send(b"HTTP/1.1 408 Request Timeout\r\n\r\n")
        await until(lambda: is_idle(transport))
        exchange = await transport.send(request_to(server.url))
    assert exchange.status_code == 200
    assert not exchange.reused


async def test_a_connection_closed_while_idle_is_not_reused() -> None:
    async with serving(answering(OK)) as server, native() as transport:
        await transport.send(request_to(server.url))
        server.connections[0].writer.close()
        await until(lambda: is_idle(transport))
        assert not (await transport.send(request_to(server.url))).reused


@pytest.mark.parametrize("reset", [False, True])
async def test_a_reused_connection_that_closes_without_a_response_is_replaced(reset: bool) -> None:  # noqa: FBT001
    async def handler(server: RawServer, connected: Connected) -> None:
        await read_request(server, connected)
        await connected.send(OK)
        # Read the second request, and close the connection.
        await connected.reader.readexactly(10)
        if reset:
            connected.reset()

    async with serving(handler) as server, native() as transport:
        for _ in range(3):
            exchange = await transport.send(request_to(server.url))
            assert exchange.status_code == 200
            assert exchange.failure_kind is None
            assert not exchange.reused
    assert len(server.connections) == 3


async def test_all_connections_can_be_closed_together() -> None:
    async def handler(server: RawServer, connected: Connected) -> None:
        await read_request(server, connected)
        await connected.send(OK)
        await connected.reader.readexactly(10)

    async with serving(handler) as server, native(connections=5) as transport:
        for _ in range(3):
            exchanges = await asyncio.gather(
                *[transport.send(request_to(server.url)) for _ in range(20)]
            )
            assert {exchange.status_code for exchange in exchanges} == {200}


async def test_a_new_connection_that_closes_without_a_response_is_a_failure() -> None:
    async def handler(server: RawServer, connected: Connected) -> None:
        await read_request(server, connected)

    async with serving(handler) as server, native() as transport:
        exchange = await transport.send(request_to(server.url))
        assert exchange.failure_kind is FailureKind.TRANSPORT
    assert len(server.connections) == 1


async def test_a_request_is_repeated_only_once() -> None:
    async def handler(server: RawServer, connected: Connected) -> None:
        await read_request(server, connected)
        if len(server.connections) == 1:
            await connected.send(OK)
            await read_request(server, connected)

    async with serving(handler) as server, native() as transport:
        assert (await transport.send(request_to(server.url))).status_code == 200
        exchange = await transport.send(request_to(server.url))
        assert exchange.failure_kind is FailureKind.TRANSPORT
        assert not exchange.reused
    assert len(server.requests) == 3


async def test_an_incomplete_response_on_a_reused_connection_is_a_failure() -> None:
    async def handler(server: RawServer, connected: Connected) -> None:
        await read_request(server, connected)
        await connected.send(OK)
        await read_request(server, connected)
        await connected.send(b"HTTP/1.1 2")

    async with serving(handler) as server, native() as transport:
        await transport.send(request_to(server.url))
        exchange = await transport.send(request_to(server.url))
        assert exchange.failure_kind is FailureKind.TRANSPORT
        assert exchange.reused
    assert len(server.requests) == 2


async def test_idle_connections_are_closed_after_their_keepalive() -> None:
    async with serving(answering(OK)) as server, native(keepalive=0.05) as transport:
        await transport.send(request_to(server.url))
        await until(lambda: is_idle(transport))
        await until(server.connections[0].writer.is_closing)
        assert not (await transport.send(request_to(server.url))).reused


async def test_a_keepalive_of_zero_disables_reuse() -> None:
    async with serving(answering(OK)) as server, native(keepalive=0.0) as transport:
        for _ in range(2):
            assert not (await transport.send(request_to(server.url))).reused
        await until(lambda: is_idle(transport))


async def test_idle_connections_of_all_endpoints_are_limited_together(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(
        "delivery.http.native.current_shares", lambda _: FileShares(limit=64, sockets=2, lookups=1)
    )
    async with (
        serving(answering(OK)) as one,
        serving(answering(OK)) as two,
        serving(answering(OK)) as three,
        native() as transport,
    ):
        for server in (one, two, three):
            await transport.send(request_to(server.url))
        await until(one.connections[0].writer.is_closing)
        assert (await transport.send(request_to(two.url))).reused
        assert (await transport.send(request_to(three.url))).reused
        assert not (await transport.send(request_to(one.url))).reused


async def test_waiting_calls_are_served_in_order() -> None:
    released = asyncio.Event()

    async def handler(server: RawServer, connected: Connected) -> None:
        while await read_request(server, connected):
            await released.wait()
            await connected.send(OK)

    async with serving(handler) as server, native(connections=1) as transport:
        calls = []
        for number in range(10):
            calls.append(
                asyncio.create_task(transport.send(request_to(server.url, b"%d" % number)))
            )
            await asyncio.sleep(0)
        await until(lambda: server.requests)
        released.set()
        for exchange in await asyncio.gather(*calls):
            assert exchange.status_code == 200
        assert [body for _, body in server.requests] == [b"%d" % number for number in range(10)]
        assert len(server.connections) == 1


async def test_a_slot_is_granted_to_the_next_call_when_its_connection_closes() -> None:
    async with serving(answering(OK, close=True)) as server, native(connections=2) as transport:
        exchanges = await asyncio.gather(
            *[transport.send(request_to(server.url)) for _ in range(10)]
        )
        # A closed connection may be reused before its end is noticed. It is then replaced.
        assert {exchange.status_code for exchange in exchanges} == {200}
        await until(lambda: is_idle(transport))


async def test_cancellation_closes_the_connection_and_releases_its_slot() -> None:
    async def handler(server: RawServer, connected: Connected) -> None:
        await connected.reader.read()

    async with serving(handler) as server, native(connections=1) as transport:
        calling = asyncio.create_task(transport.send(request_to(server.url)))
        await until(lambda: server.connections)
        waiting = asyncio.create_task(transport.send(request_to(server.url)))
        await asyncio.sleep(0)
        waiting.cancel()
        calling.cancel()
        results = await asyncio.gather(calling, waiting, return_exceptions=True)
        assert [type(result) for result in results] == [asyncio.CancelledError] * 2
        await until(lambda: is_idle(transport))
        await until(server.connections[0].writer.is_closing)


@pytest.mark.parametrize("turns", range(12))
async def test_cancellation_at_any_moment_releases_everything(turns: int) -> None:
    async with serving(answering(OK)) as server, native(connections=1) as transport:
        calls = [asyncio.create_task(transport.send(request_to(server.url))) for _ in range(3)]
        for _ in range(turns):
            await asyncio.sleep(0)
        calls[0].cancel()
        calls[1].cancel()
        results = await asyncio.gather(*calls, return_exceptions=True)
        assert not isinstance(results[2], BaseException)
        assert results[2].status_code == 200
        await transport.aclose()
        await until(lambda: is_idle(transport))


async def test_closing_fails_current_and_later_exchanges() -> None:
    async def handler(server: RawServer, connected: Connected) -> None:
        await connected.reader.read()

    async with serving(handler) as server, native(connections=1) as transport:
        calls = [asyncio.create_task(transport.send(request_to(server.url))) for _ in range(3)]
        await until(lambda: server.connections)
        await asyncio.sleep(0.01)
        await transport.aclose()
        for call in calls:
            assert (await call).failure_kind is FailureKind.TRANSPORT
        after = await transport.send(request_to(server.url))
        assert after.failure_kind is FailureKind.TRANSPORT
        assert after.error == "the transport was closed"
        await until(lambda: is_idle(transport))
        assert len(server.connections) == 1

"""A hostile server costs bounded time and memory, and does not affect other exchanges."""

from __future__ import annotations

import asyncio
import time

import psutil
import pytest

from delivery.http.response import Progress, ResponseReader
from delivery.models import Exchange
from tests.support.hostile_servers import HOSTILE, serving_hostile
from tests.support.raw_servers import (
    OK,
    answering,
    native,
    request_to,
    serving,
    unanswering_port,
    until,
)

pytestmark = pytest.mark.anyio

QUICK = 1.0
"""Timeout in which a slow machine, too, reads the first bytes of a response."""
MEGABYTE = 1_000_000
START = b"HTTP/1.1 200 OK\r\n"
CHUNKED = START + b"Transfer-Encoding: chunked\r\n\r\n"


def resident() -> int:
    """Return the resident memory of this process in bytes."""
    size: int = psutil.Process().memory_info().rss
    return size


@pytest.mark.parametrize("name", HOSTILE)
async def test_a_hostile_server_costs_at_most_one_exchange_and_its_timeout(name: str) -> None:
    hostile = HOSTILE[name]
    async with (
        serving_hostile([name]) as servers,
        serving(answering(OK)) as healthy,
        native() as transport,
    ):
        timeout = QUICK if hostile.failure_kind == "timeout" else 60.0
        calling = asyncio.create_task(
            transport.send(request_to(servers[name].url, timeout=timeout))
        )
        others = [await transport.send(request_to(healthy.url)) for _ in range(20)]
        async with asyncio.timeout(30):
            exchange = await calling
        assert [each.status_code for each in others] == [200] * 20
        assert exchange.failure_kind == hostile.failure_kind
        assert hostile.error in (exchange.error or "")
        assert bool(exchange.error) == (hostile.failure_kind is not None)
        assert exchange.status_code == hostile.status_code
        assert exchange.truncated == hostile.truncated
        assert len(exchange.response_head) <= 65_536
        assert len(exchange.response_body) <= 65_536
        assert len(servers[name].connections) == 1, (
            "no redirect is followed, and no request repeated"
        )
        await until(lambda: len(transport._open) == 1)
        assert set(transport._pools) == {request_to(healthy.url).endpoint.key}


async def test_an_unreachable_server_costs_the_connect_timeout() -> None:
    with unanswering_port() as port:
        async with native() as transport:
            request = request_to(f"http://127.0.0.1:{port}/", connect_timeout=QUICK)
            exchange = await transport.send(request)
            assert exchange.failure_kind == "timeout"
            assert exchange.error is not None
            assert f"the connect timeout of {QUICK:g} s expired" in exchange.error
            assert not transport._open
            assert not transport._pools


async def test_hundreds_of_megabytes_of_responses_do_not_increase_memory() -> None:
    pushing = [name for name, hostile in HOSTILE.items() if hostile.pushes]
    async with serving_hostile(pushing) as servers, native() as transport:

        async def call_all() -> list[Exchange]:
            calls = (
                transport.send(request_to(server.url))
                for server in servers.values()
                for _ in range(4)
            )
            return await asyncio.gather(*calls)

        await call_all()
        before = resident()
        already = sum(server.pushed for server in servers.values())
        highest = before
        while sum(server.pushed for server in servers.values()) - already < 300 * MEGABYTE:
            exchanges = await call_all()
            highest = max(highest, resident())
            assert all(len(each.response_body) <= 65_536 for each in exchanges)
        del exchanges
        assert highest - before < 40 * MEGABYTE
        assert not transport._open


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(START + b"Content-Length: 2\r\n" * 3_400, id="one header repeated"),
        pytest.param(START + b"Content-Length: 2, 2\r\n" + b"X: y\r\n" * 10_000, id="headers"),
        pytest.param(START + b"X: y\r\n" + b" z\r\n" * 16_000, id="folded lines"),
        pytest.param(b"\r\n" * 32_000, id="empty lines"),
        pytest.param(b"HTTP/1.1 103 H\r\n\r\n" * 3_600, id="informational"),
        pytest.param(
            b"HTTP/1.1 100 C\r\nContent-Length: 1, 1\r\n\r\n" * 1_600,
            id="informational, repeated length",
        ),
        pytest.param(CHUNKED + b"1\r\nx\r\n" * 10_000, id="chunks"),
        pytest.param(CHUNKED + b"2;" + b"x" * 60_000, id="chunk extension"),
        pytest.param(CHUNKED + b"0\r\n" + b"X: y\r\n" * 10_000, id="trailers"),
        pytest.param(
            START + b"Content-Encoding: gzip\r\n\r\n\x1f\x8b\x08\x08" + bytes(6) + b"n" * 60_000,
            id="the name of a compressed file",
        ),
    ],
)
def test_a_response_in_pieces_of_one_byte_costs_little_and_is_limited(
    data: bytes,
) -> None:
    reader, exchange = ResponseReader(1_048_576, 1_048_576), Exchange()
    reader.begin(exchange, is_head_request=False)
    began = time.process_time()
    fed = 0
    for offset in range(len(data)):
        fed += 1
        if reader.feed(data[offset : offset + 1]) is not Progress.READING:
            break
    assert reader.progress in {Progress.FAILED, Progress.CUT}
    assert fed <= 10_001
    # It takes a few hundredths. A parser that rereads all earlier pieces takes many seconds.
    assert time.process_time() - began < 2

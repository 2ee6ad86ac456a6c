"""Whatever a server does, an exchange takes bounded time and memory, and others do not feel it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import psutil
import pytest

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

if TYPE_CHECKING:
    from delivery.models import Exchange

pytestmark = pytest.mark.anyio

TIMEOUT = 0.3
MEGABYTE = 1_000_000


def resident() -> int:
    """Bytes of memory this process holds."""
    size: int = psutil.Process().memory_info().rss
    return size


@pytest.mark.parametrize("name", HOSTILE)
async def test_a_hostile_server_costs_one_exchange_and_its_timeout_at_most(name: str) -> None:
    hostile = HOSTILE[name]
    async with (
        serving_hostile([name]) as servers,
        serving(answering(OK)) as healthy,
        native() as transport,
    ):
        calling = asyncio.create_task(
            transport.send(request_to(servers[name].url, timeout=TIMEOUT))
        )
        beside = [await transport.send(request_to(healthy.url)) for _ in range(20)]
        async with asyncio.timeout(TIMEOUT + 5):
            exchange = await calling
        assert [each.status_code for each in beside] == [200] * 20
        assert exchange.failure_kind == hostile.failure_kind
        assert hostile.error in (exchange.error or "")
        assert bool(exchange.error) == (hostile.failure_kind is not None)
        assert exchange.status_code == hostile.status_code
        assert exchange.truncated == hostile.truncated
        assert len(exchange.response_head) <= 65_536
        assert len(exchange.response_body) <= 65_536
        assert (exchange.total_ms or 0) < (TIMEOUT + 5) * 1000
        assert len(servers[name].connections) == 1, "nothing is followed, nothing repeated"
        await until(lambda: len(transport._open) == 1)
        assert set(transport._pools) == {request_to(healthy.url).endpoint}


async def test_a_server_that_accepts_nothing_costs_the_connect_timeout() -> None:
    with unanswering_port() as port:
        async with native() as transport:
            request = request_to(f"http://127.0.0.1:{port}/", connect_timeout=TIMEOUT)
            exchange = await transport.send(request)
            assert exchange.failure_kind == "timeout"
            assert exchange.error is not None
            assert f"the connect timeout of {TIMEOUT:g} s was over" in exchange.error
            assert not transport._open
            assert not transport._pools


async def test_hundreds_of_megabytes_pushed_at_the_transport_do_not_grow_it() -> None:
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

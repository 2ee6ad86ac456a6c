"""Odd servers give here what they give with httpx's own transport, or there is a reason.

Each server of `odd_servers` is asked by both. Where they differ, its entry says how, and why.
"""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING

import httpx
import pytest

from delivery.message.request.head import message_headers
from tests.http.odd_servers import ODD_SERVERS
from tests.http.odd_servers.script import NEXT_BODY, Failure, OddServer, Response, running
from tests.support.raw_servers import native, request_to

if TYPE_CHECKING:
    from delivery.http.request import Request
    from delivery.models import Exchange

pytestmark = pytest.mark.anyio

UNUSED = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""Made once: without one, httpx loads all authorities of the system for each transport."""


@dataclass(frozen=True, slots=True)
class Given:
    """What a transport gave."""

    outcome: Response | Failure
    headers: tuple[tuple[str, str], ...] = ()


async def asked_here(odd: OddServer) -> Given:
    """Ask by our transport, and make sure that the request after it gets its own answer."""
    async with running(odd) as server, native() as transport:
        request = request_to(server.url, odd.body, method=odd.method, timeout=odd.timeout)
        exchange = await transport.send(request)
        following = await transport.send(request_to(server.url))
        assert following.failure_kind is None, following.error
        assert following.status_code == 202
        assert following.response_body == NEXT_BODY
        assert odd.kept is None or following.reused == odd.kept
    return shown(exchange)


def shown(exchange: Exchange) -> Given:
    """What an exchange shows."""
    if exchange.failure_kind is not None:
        assert exchange.error is not None
        return Given(Failure(exchange.error))
    assert exchange.status_code is not None
    answer = Response(exchange.status_code, exchange.response_body, exchange.truncated)
    return Given(answer, message_headers(exchange.response_head))


async def asked_by_httpx(odd: OddServer) -> Given:
    """Ask by httpx's own transport."""
    async with running(odd) as server, httpx.AsyncHTTPTransport(verify=UNUSED) as transport:
        request = request_to(server.url, odd.body, method=odd.method)
        try:
            response = await transport.handle_async_request(as_httpx(request, odd.timeout))
            try:
                body = await response.aread()
            finally:
                await response.aclose()
        except (httpx.TransportError, httpx.DecodingError) as error:
            return Given(Failure(repr(error)))
        headers = [
            (name.decode("latin-1"), value.decode("latin-1"))
            for name, value in response.headers.raw
        ]
        return Given(Response(response.status_code, body), tuple(headers))


def as_httpx(request: Request, timeout: float) -> httpx.Request:
    """The same request, with a limit for each of its steps."""
    port = request.endpoint.port
    return httpx.Request(
        request.method,
        f"http://127.0.0.1:{port}/hooks",
        headers=message_headers(request.head),
        content=request.body,
        extensions={"timeout": dict.fromkeys(("connect", "read", "write", "pool"), timeout)},
    )


@pytest.mark.parametrize("name", ODD_SERVERS)
async def test_an_odd_server_gives_what_it_gives_with_httpx_or_there_is_a_reason(
    name: str,
) -> None:
    odd = ODD_SERVERS[name]
    here, there = await asyncio.gather(asked_here(odd), asked_by_httpx(odd))
    if isinstance(odd.gives, Failure):
        assert isinstance(here.outcome, Failure)
        assert odd.gives.error in here.outcome.error
    else:
        assert here.outcome == odd.gives
    expected_there = odd.httpx or odd.gives
    if isinstance(expected_there, Failure):
        assert isinstance(there.outcome, Failure)
    elif isinstance(expected_there, Response):
        assert there.outcome == expected_there
    if odd.httpx is None and isinstance(here.outcome, Response):
        assert (here.headers != there.headers) == odd.other_headers


def test_there_are_enough_odd_servers_and_every_difference_has_its_reason() -> None:
    assert len(ODD_SERVERS) >= 40
    assert sum(bool(odd.because) for odd in ODD_SERVERS.values()) < len(ODD_SERVERS) / 4

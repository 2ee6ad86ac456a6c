"""The results with odd servers agree with those of httpx, except for documented differences.

Each server of `odd_servers` is called by both transports. Its entry documents a difference.
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
"""Shared context: by default, httpx loads all authorities of the system for each transport."""


@dataclass(frozen=True, slots=True)
class Result:
    """Result of a transport."""

    outcome: Response | Failure
    headers: tuple[tuple[str, str], ...] = ()


async def call_native(odd: OddServer) -> Result:
    """Call with our transport, and check that the next request receives its own response."""
    async with running(odd) as server, native() as transport:
        request = request_to(server.url, odd.body, method=odd.method, timeout=odd.timeout)
        exchange = await transport.send(request)
        next_exchange = await transport.send(request_to(server.url))
        assert next_exchange.failure_kind is None, next_exchange.error
        assert next_exchange.status_code == 202
        assert next_exchange.response_body == NEXT_BODY
        assert odd.reused is None or next_exchange.reused == odd.reused
    return result_of(exchange)


def result_of(exchange: Exchange) -> Result:
    """Convert an exchange to a result."""
    if exchange.failure_kind is not None:
        assert exchange.error is not None
        return Result(Failure(exchange.error))
    assert exchange.status_code is not None
    response = Response(exchange.status_code, exchange.response_body, exchange.truncated)
    return Result(response, message_headers(exchange.response_head))


async def call_httpx(odd: OddServer) -> Result:
    """Call with the transport of httpx."""
    async with running(odd) as server, httpx.AsyncHTTPTransport(verify=UNUSED) as transport:
        request = request_to(server.url, odd.body, method=odd.method)
        try:
            response = await transport.handle_async_request(as_httpx(request, odd.timeout))
            try:
                body = await response.aread()
            finally:
                await response.aclose()
        except (httpx.TransportError, httpx.DecodingError) as error:
            return Result(Failure(repr(error)))
        headers = [
            (name.decode("latin-1"), value.decode("latin-1"))
            for name, value in response.headers.raw
        ]
        return Result(Response(response.status_code, body), tuple(headers))


def as_httpx(request: Request, timeout: float) -> httpx.Request:
    """Convert a request, with a timeout for each step."""
    port = request.endpoint.port
    return httpx.Request(
        request.method,
        f"http://127.0.0.1:{port}/hooks",
        headers=message_headers(request.head),
        content=request.body,
        extensions={"timeout": dict.fromkeys(("connect", "read", "write", "pool"), timeout)},
    )


@pytest.mark.parametrize("name", ODD_SERVERS)
async def test_an_odd_server_gives_the_same_result_as_with_httpx_or_a_documented_one(
    name: str,
) -> None:
    odd = ODD_SERVERS[name]
    ours, theirs = await asyncio.gather(call_native(odd), call_httpx(odd))
    if isinstance(odd.expected, Failure):
        assert isinstance(ours.outcome, Failure)
        assert odd.expected.error in ours.outcome.error
    else:
        assert ours.outcome == odd.expected
    expected_theirs = odd.httpx or odd.expected
    if isinstance(expected_theirs, Failure):
        assert isinstance(theirs.outcome, Failure)
    elif isinstance(expected_theirs, Response):
        assert theirs.outcome == expected_theirs
    if odd.httpx is None and isinstance(ours.outcome, Response):
        assert (ours.headers != theirs.headers) == odd.other_headers


def test_there_are_many_odd_servers_and_few_differences() -> None:
    assert len(ODD_SERVERS) >= 40
    assert sum(bool(odd.reason) for odd in ODD_SERVERS.values()) < len(ODD_SERVERS) / 4

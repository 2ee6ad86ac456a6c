"""Connections go only to checked addresses, independent of names and environment variables.

An audit hook of Python reports each `socket.connect`, independent of our code.
"""

from __future__ import annotations

import sys
from contextlib import asynccontextmanager, contextmanager
from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING, Any, Final

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from delivery.http.adapters.httpx_transports import HttpxTransport, TlsAwareHttpxTransport
from delivery.http.guard import Guard
from delivery.http.transport_choice import open_transport
from delivery.models import FailureKind
from delivery.settings import HttpSettings
from tests.support.raw_servers import LOOPBACK, OK, answering, native, request_to, serving

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from contextlib import AbstractAsyncContextManager

    from delivery.http.native import NativeTransport
    from delivery.http.transport import Transport
    from tests.support.raw_servers import Connected, RawServer

pytestmark = pytest.mark.anyio

_watching: list[set[str]] = []
"""Sets that receive the addresses of new connections. An audit hook cannot be removed."""


def _watch(event: str, details: tuple[Any, ...]) -> None:
    if event == "socket.connect" and _watching and isinstance(details[1], tuple):
        for addresses in _watching:
            addresses.add(details[1][0])


sys.addaudithook(_watch)


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, bool]]:
    """Event loop without uvloop, whose connections cause no audit events."""
    return "asyncio", {"use_uvloop": False}


@contextmanager
def connections() -> Iterator[set[str]]:
    """Collect the addresses of connections inside the block."""
    addresses: set[str] = set()
    _watching.append(addresses)
    try:
        yield addresses
    finally:
        _watching.remove(addresses)


@asynccontextmanager
async def over_httpx(guard: Guard) -> AsyncIterator[HttpxTransport]:
    """Open a transport of httpx with the guard."""
    limits = httpx.Limits(max_keepalive_connections=0)
    transport = HttpxTransport(TlsAwareHttpxTransport(limits, guard), guard, 65_536, 65_536)
    try:
        yield transport
    finally:
        await transport.aclose()


def over_native(guard: Guard) -> AbstractAsyncContextManager[NativeTransport]:
    """Open the native transport, with a new connection for each call."""
    return native(guard, keepalive=0)


TRANSPORTS: Final = [
    pytest.param(over_native, id="native"),
    pytest.param(over_httpx, id="httpx"),
]


def changing(*results: list[str]) -> Callable[[str], list[str]]:
    """Create a resolver that returns one result after the other, and then repeats the last."""
    left = list(results)
    return lambda _: left.pop(0) if len(left) > 1 else left[0]


async def test_a_name_that_becomes_private_after_the_check_reaches_nothing() -> None:
    guard = Guard(["127.0.0.1/32"], resolver=changing(["127.0.0.1"], ["127.0.0.2"]))
    async with serving(answering(OK), host="127.0.0.2") as private, native(guard) as transport:
        url = private.url.replace("127.0.0.2", "rebinding.example")
        with connections() as reached:
            first = await transport.send(request_to(url))
            second = await transport.send(request_to(url))
        assert not private.connections
    # The checked result is used for the connection. The next lookup is checked again.
    assert first.failure_kind is FailureKind.TRANSPORT
    assert second.failure_kind is FailureKind.BLOCKED
    assert reached == {"127.0.0.1"}


async def test_httpx_connects_only_to_addresses_checked_for_the_connection() -> None:
    guard = Guard(["127.0.0.1/32"], resolver=changing(["127.0.0.1"], ["127.0.0.2"]))
    async with (
        serving(answering(OK), host="127.0.0.2") as private,
        over_httpx(guard) as transport,
    ):
        url = private.url.replace("127.0.0.2", "rebinding.example")
        with connections() as reached:
            exchange = await transport.send(request_to(url))
        assert not private.connections
    assert exchange.failure_kind is FailureKind.BLOCKED, exchange
    assert reached == set()


async def respond_once(_: RawServer, connected: Connected) -> None:
    """Respond to the first data of a connection."""
    await connected.reader.read(65_536)
    await connected.send(OK)


@pytest.mark.parametrize("kind", ["native", "httpx"])
@pytest.mark.parametrize("name", ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"])
async def test_proxies_of_the_environment_are_ignored(
    kind: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving(respond_once) as proxy, serving(respond_once) as server:
        monkeypatch.setenv(name, proxy.url)
        monkeypatch.setenv(name.lower(), proxy.url)
        monkeypatch.delenv("NO_PROXY", raising=False)
        monkeypatch.delenv("no_proxy", raising=False)
        chosen = HttpSettings(transport=kind, allowed_networks=LOOPBACK)  # type: ignore[arg-type]
        async with open_transport(chosen, None) as transport:
            plain = await transport.send(request_to(server.url))
            # A proxy would receive a CONNECT request.
            encrypted = await transport.send(request_to(server.url.replace("http:", "https:")))
        assert not proxy.connections
    assert plain.status_code == 200
    assert encrypted.failure_kind is FailureKind.TLS


loopback = st.integers(1, 12).map(lambda number: f"127.0.0.{number}")
forbidden = st.sampled_from(
    [
        *("10.0.0.1", "169.254.169.254", "192.168.1.1", "100.64.0.1", "0.0.0.0", "224.0.0.1"),
        *("::1", "::", "::ffff:127.0.0.9", "::ffff:10.0.0.1", "64:ff9b::7f00:1", "fe80::1%lo"),
        *("fd00::1", "2002:7f00:1::", "::127.0.0.1"),
    ]
)
lookups = st.lists(st.one_of(loopback, loopback, forbidden), max_size=4)
networks = st.sampled_from([(), ("127.0.0.1/32",), ("127.0.0.0/29",), ("127.0.0.4/30", "::1/128")])


@pytest.mark.parametrize("opened", TRANSPORTS)
@settings(max_examples=60, deadline=None)
@given(allowed=networks, results=st.lists(lookups, min_size=1, max_size=4))
async def test_no_connection_goes_to_an_address_that_is_not_allowed(
    opened: Callable[[Guard], AbstractAsyncContextManager[Transport]],
    allowed: tuple[str, ...],
    results: list[list[str]],
) -> None:
    guard = Guard(allowed, resolver=changing(*results))
    async with serving(answering(OK)) as server, opened(guard) as transport:
        url = server.url.replace("127.0.0.1", "changing.example")
        with connections() as reached:
            exchanges = [await transport.send(request_to(url)) for _ in range(3)]
    for address in map(ip_address, reached):
        assert any(address in ip_network(network) for network in allowed)
    for exchange in exchanges:
        assert exchange.status_code == 200 or exchange.failure_kind in {
            FailureKind.BLOCKED,
            FailureKind.TRANSPORT,
        }


@pytest.mark.parametrize("opened", TRANSPORTS)
@settings(max_examples=40, deadline=None)
@given(
    host=st.sampled_from(
        [
            *("127.0.0.1", "127.0.0.1.", "127.0.0.2", "127.1", "2130706433", "0x7f.0.0.1"),
            *("0177.0.0.1", "[::1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[::1%25lo]"),
            *("localhost", "LOCALHOST", "localhost."),
            *("１２７.０.０.１", "①②⑦.⓪.⓪.①"),  # noqa: RUF001 - tests other forms of digits
            *("127。0。0。1", "[::127.0.0.1]", "0", "0.0.0.0", "user@127.0.0.1", "127.0.0.1%00.a"),
        ]
    )
)
async def test_no_notation_of_a_private_address_leads_to_a_connection(
    opened: Callable[[Guard], AbstractAsyncContextManager[Transport]], host: str
) -> None:
    async with serving(answering(OK)) as server, opened(Guard()) as transport:
        with connections() as reached:
            try:
                request = request_to(f"http://{host}:{server.port}/")
            except ValueError:
                # The reaction cannot be saved.
                return
            exchange = await transport.send(request)
        assert not server.connections
    assert exchange.failure_kind in {FailureKind.BLOCKED, FailureKind.DNS}, exchange
    assert reached == set()

"""Only addresses that were judged are connected to, whatever names and the environment say.

What is connected to is not asked of our code: Python itself reports each `socket.connect`.
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
"""Sets to which the addresses of new connections are added. A hook cannot be taken away again."""


def _watch(event: str, details: tuple[Any, ...]) -> None:
    if event == "socket.connect" and _watching and isinstance(details[1], tuple):
        for addresses in _watching:
            addresses.add(details[1][0])


sys.addaudithook(_watch)


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, bool]]:
    """Without uvloop, whose connections Python does not see."""
    return "asyncio", {"use_uvloop": False}


@contextmanager
def connections() -> Iterator[set[str]]:
    """The addresses that are connected to meanwhile."""
    addresses: set[str] = set()
    _watching.append(addresses)
    try:
        yield addresses
    finally:
        _watching.remove(addresses)


@asynccontextmanager
async def over_httpx(guard: Guard) -> AsyncIterator[HttpxTransport]:
    """A transport of httpx behind the guard."""
    limits = httpx.Limits(max_keepalive_connections=0)
    transport = HttpxTransport(TlsAwareHttpxTransport(limits, guard), guard, 65_536, 65_536)
    try:
        yield transport
    finally:
        await transport.aclose()


def over_our_own(guard: Guard) -> AbstractAsyncContextManager[NativeTransport]:
    """The engine's transport, each call on a new connection."""
    return native(guard, keepalive=0)


TRANSPORTS: Final = [
    pytest.param(over_our_own, id="native"),
    pytest.param(over_httpx, id="httpx"),
]


def lying(*answers: list[str]) -> Callable[[str], list[str]]:
    """A resolver that gives one answer after the other, and keeps to the last."""
    left = list(answers)
    return lambda _: left.pop(0) if len(left) > 1 else left[0]


async def test_a_name_that_turns_private_between_check_and_connection_reaches_nothing() -> None:
    guard = Guard(["127.0.0.1/32"], resolver=lying(["127.0.0.1"], ["127.0.0.2"]))
    async with serving(answering(OK), host="127.0.0.2") as private, native(guard) as transport:
        url = private.url.replace("127.0.0.2", "rebinding.example")
        with connections() as reached:
            first = await transport.send(request_to(url))
            second = await transport.send(request_to(url))
        assert not private.connections
    # The answer that was judged is the one that is used; the next lookup is judged anew.
    assert first.failure_kind is FailureKind.TRANSPORT
    assert second.failure_kind is FailureKind.BLOCKED
    assert reached == {"127.0.0.1"}


async def test_httpx_connects_only_to_what_was_judged_when_it_connects() -> None:
    guard = Guard(["127.0.0.1/32"], resolver=lying(["127.0.0.1"], ["127.0.0.2"]))
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


async def at_once(_: RawServer, connected: Connected) -> None:
    """Answer whatever comes first."""
    await connected.reader.read(65_536)
    await connected.send(OK)


@pytest.mark.parametrize("kind", ["native", "httpx"])
@pytest.mark.parametrize("name", ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"])
async def test_proxies_of_the_environment_are_ignored(
    kind: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving(at_once) as proxy, serving(at_once) as server:
        monkeypatch.setenv(name, proxy.url)
        monkeypatch.setenv(name.lower(), proxy.url)
        monkeypatch.delenv("NO_PROXY", raising=False)
        monkeypatch.delenv("no_proxy", raising=False)
        chosen = HttpSettings(transport=kind, allowed_networks=LOOPBACK)  # type: ignore[arg-type]
        async with open_transport(chosen, None) as transport:
            plain = await transport.send(request_to(server.url))
            # A proxy would be asked to CONNECT.
            secured = await transport.send(request_to(server.url.replace("http:", "https:")))
        assert not proxy.connections
    assert plain.status_code == 200
    assert secured.failure_kind is FailureKind.TLS


loopback = st.integers(1, 12).map(lambda number: f"127.0.0.{number}")
forbidden = st.sampled_from(
    [
        *("10.0.0.1", "169.254.169.254", "192.168.1.1", "100.64.0.1", "0.0.0.0", "224.0.0.1"),
        *("::1", "::", "::ffff:127.0.0.9", "::ffff:10.0.0.1", "64:ff9b::7f00:1", "fe80::1%lo"),
        *("fd00::1", "2002:7f00:1::", "::127.0.0.1"),
    ]
)
answers = st.lists(st.one_of(loopback, loopback, forbidden), max_size=4)
networks = st.sampled_from([(), ("127.0.0.1/32",), ("127.0.0.0/29",), ("127.0.0.4/30", "::1/128")])


@pytest.mark.parametrize("opened", TRANSPORTS)
@settings(max_examples=60, deadline=None)
@given(allowed=networks, said=st.lists(answers, min_size=1, max_size=4))
async def test_no_address_outside_the_allowed_set_is_ever_connected_to(
    opened: Callable[[Guard], AbstractAsyncContextManager[Transport]],
    allowed: tuple[str, ...],
    said: list[list[str]],
) -> None:
    guard = Guard(allowed, resolver=lying(*said))
    async with serving(answering(OK)) as server, opened(guard) as transport:
        url = server.url.replace("127.0.0.1", "liar.example")
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
            *("１２７.０.０.１", "①②⑦.⓪.⓪.①"),  # noqa: RUF001 - other forms of digits are the point
            *("127。0。0。1", "[::127.0.0.1]", "0", "0.0.0.0", "user@127.0.0.1", "127.0.0.1%00.a"),
        ]
    )
)
async def test_no_way_to_write_a_private_address_leads_there(
    opened: Callable[[Guard], AbstractAsyncContextManager[Transport]], host: str
) -> None:
    async with serving(answering(OK)) as server, opened(Guard()) as transport:
        with connections() as reached:
            try:
                request = request_to(f"http://{host}:{server.port}/")
            except ValueError:
                # Refused when the reaction is saved.
                return
            exchange = await transport.send(request)
        assert not server.connections
    assert exchange.failure_kind in {FailureKind.BLOCKED, FailureKind.DNS}, exchange
    assert reached == set()

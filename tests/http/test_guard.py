"""The guard checks all addresses of an endpoint before a connection."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
import threading
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

import pytest
import trustme

from delivery.errors import InvalidReaction
from delivery.http.guard import AddressBlocked, Guard
from delivery.http.transport_choice import open_transport
from delivery.message.request.url import parse_url
from delivery.models import Exchange, FailureKind, TlsOptions
from delivery.settings import HttpSettings
from tests.support.raw_servers import (
    LOOPBACK,
    OK,
    answering,
    native,
    request_to,
    serving,
    unanswering_port,
)
from tests.support.tls_servers import server_context

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.anyio


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[str]]:
    """Addresses of names, filled in by the test. Other names do not resolve."""
    known: dict[str, list[str]] = {}

    def getaddrinfo(host: str, port: object, **_: object) -> list[tuple[object, ...]]:
        if host not in known:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return [(0, 0, 0, "", (address, port)) for address in known[host]]

    monkeypatch.setattr("socket.getaddrinfo", getaddrinfo)
    return known


async def call(url: str, guard: Guard) -> Exchange:
    async with native(guard) as transport:
        return await transport.send(request_to(url))


async def test_a_loopback_endpoint_is_blocked_by_default() -> None:
    async with serving(answering(OK)) as server:
        exchange = await call(server.url, Guard())
        assert not server.connections
    assert exchange.failure_kind is FailureKind.BLOCKED
    assert "127.0.0.1 is not a public address" in (exchange.error or "")
    assert "http.allowed_networks" in (exchange.error or "")
    assert exchange.status_code is None
    assert exchange.connect_ms is None


@pytest.mark.parametrize("bad", ["127.0.0.1", "10.0.0.1", "::1", "::ffff:127.0.0.1", "fe80::1%lo"])
async def test_one_forbidden_address_blocks_the_name(
    names: dict[str, list[str]], bad: str, caplog: pytest.LogCaptureFixture
) -> None:
    names["mixed.example"] = ["8.8.8.8", bad, "1.1.1.1"]
    guard = Guard()
    for _ in range(2):
        exchange = await call("http://mixed.example/", guard)
        assert exchange.failure_kind is FailureKind.BLOCKED
        error = exchange.error or ""
        assert "mixed.example resolves to an address that is not public" in error
        assert bad not in error, "users must not see the addresses of internal names"
    (record,) = caplog.records
    assert "which must not be called" in record.getMessage()
    assert str(ip_address(bad.split("%", maxsplit=1)[0])) in record.getMessage()


async def test_the_connection_goes_to_the_checked_address(
    names: dict[str, list[str]],
) -> None:
    async with serving(answering(OK)) as server, native() as transport:
        names["pinned.example"] = ["127.0.0.1"]
        url = server.url.replace("127.0.0.1", "pinned.example")
        first = await transport.send(request_to(url))
        # The name now resolves differently. The open connection may still be reused.
        names["pinned.example"] = ["10.0.0.1"]
        second = await transport.send(request_to(url))
        server.connections[0].reset()
        third = await transport.send(request_to(url))
    assert first.status_code == second.status_code == 200
    assert first.remote_address == f"127.0.0.1:{server.port}"
    assert second.reused
    assert third.failure_kind is FailureKind.BLOCKED
    assert b"Host: pinned.example:" in server.requests[0][0]


async def test_a_name_is_resolved_once_for_a_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    lookups = iter([["127.0.0.1"], ["10.0.0.1"]])
    looked_up: list[str] = []

    def rebinding(host: str, *_: object, **__: object) -> list[tuple[object, ...]]:
        looked_up.append(host)
        return [(0, 0, 0, "", (address, 0)) for address in next(lookups)]

    monkeypatch.setattr("socket.getaddrinfo", rebinding)
    async with serving(answering(OK)) as server:
        exchange = await call(
            server.url.replace("127.0.0.1", "rebinding.example"), Guard(["127.0.0.0/8"])
        )
    assert exchange.status_code == 200
    assert looked_up == ["rebinding.example"]


async def test_concurrent_calls_to_one_name_share_its_lookup(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    looked_up: list[str] = []
    released = asyncio.Event()
    loop = asyncio.get_running_loop()

    def slow(host: str, *_: object, **__: object) -> list[tuple[object, ...]]:
        looked_up.append(host)
        asyncio.run_coroutine_threadsafe(released.wait(), loop).result()
        return [(0, 0, 0, "", ("127.0.0.1", 0))]

    monkeypatch.setattr("socket.getaddrinfo", slow)
    guard = Guard(LOOPBACK)
    endpoint, _ = parse_url("http://shared.example/")
    lookups = [asyncio.create_task(guard.resolve(endpoint)) for _ in range(10)]
    await asyncio.sleep(0)
    lookups[0].cancel()
    released.set()
    results = await asyncio.gather(*lookups, return_exceptions=True)
    assert isinstance(results[0], asyncio.CancelledError)
    assert results[1:] == [["127.0.0.1"]] * 9
    assert looked_up == ["shared.example"]


def test_a_program_ends_without_waiting_for_a_hanging_lookup() -> None:
    program = """
import asyncio, socket, threading
from delivery.http.transport_choice import open_transport
from delivery.http.guard import Guard
from delivery.message.request.url import parse_url

socket.getaddrinfo = lambda *_, **__: threading.Event().wait()

async def give_up():
    endpoint, _ = parse_url("http://hanging.example/")
    try:
        async with asyncio.timeout(0.05):
            await Guard().resolve(endpoint)
    except TimeoutError:
        print("gave up")

asyncio.run(give_up())
"""
    ended = subprocess.run(
        [sys.executable, "-X", "dev", "-c", program],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert (ended.stdout, ended.stderr) == ("gave up\n", "")


async def test_hanging_lookups_do_not_block_others(monkeypatch: pytest.MonkeyPatch) -> None:
    released = threading.Event()

    def slow(host: str, *_: object, **__: object) -> list[tuple[object, ...]]:
        if host.startswith("slow"):
            released.wait()
        return [(0, 0, 0, "", ("127.0.0.1", 0))]

    monkeypatch.setattr("socket.getaddrinfo", slow)
    guard = Guard(LOOPBACK)
    hanging = [
        asyncio.create_task(guard.resolve(parse_url(f"http://slow{number}.example/")[0]))
        for number in range(100)
    ]
    await asyncio.sleep(0)
    assert await guard.resolve(parse_url("http://quick.example/")[0]) == ["127.0.0.1"]
    assert not any(task.done() for task in hanging)
    released.set()
    assert await asyncio.gather(*hanging) == [["127.0.0.1"]] * 100


async def test_an_unknown_name_is_a_dns_failure(names: dict[str, list[str]]) -> None:
    exchange = await call("http://unknown.example/", Guard())
    assert exchange.failure_kind is FailureKind.DNS
    assert exchange.error == "unknown.example cannot be resolved: Name or service not known"


async def test_a_name_without_addresses_is_a_transport_failure(names: dict[str, list[str]]) -> None:
    names["empty.example"] = []
    exchange = await call("http://empty.example/", Guard())
    assert exchange.failure_kind is FailureKind.TRANSPORT
    assert "no addresses" in (exchange.error or "")


async def test_the_next_address_is_tried_after_a_refused_connection(
    names: dict[str, list[str]],
) -> None:
    async with serving(answering(OK)) as server:
        names["several.example"] = ["::1", "127.0.0.2", "127.0.0.1"]
        exchange = await call(server.url.replace("127.0.0.1", "several.example"), Guard(LOOPBACK))
    assert exchange.status_code == 200
    assert exchange.remote_address == f"127.0.0.1:{server.port}"


async def test_the_next_address_is_tried_after_an_unreachable_one(
    names: dict[str, list[str]],
) -> None:
    names["several.example"] = ["127.0.0.1", "127.0.0.2"]
    with unanswering_port() as port:
        async with serving(answering(OK), host="127.0.0.2", port=port):
            exchange = await call(f"http://several.example:{port}/", Guard(LOOPBACK))
    assert exchange.status_code == 200, exchange.error
    assert exchange.remote_address == f"127.0.0.2:{port}"


async def test_the_error_contains_the_failure_of_each_address(names: dict[str, list[str]]) -> None:
    async with serving(answering(OK)) as server:
        pass
    names["gone.example"] = ["127.0.0.1", "127.0.0.2"]
    url = server.url.replace("127.0.0.1", "gone.example")
    exchange = await call(url, Guard(LOOPBACK))
    assert exchange.failure_kind is FailureKind.TRANSPORT
    assert exchange.error == (
        f"cannot connect: 127.0.0.1 port {server.port}: Connection refused;"
        f" 127.0.0.2 port {server.port}: Connection refused"
    )


@pytest.mark.parametrize(
    ("url", "guard"),
    [
        ("http://127.0.0.1/", lambda: Guard(["127.0.0.0/8"])),
        ("http://[::1]/", lambda: Guard(["::1/128"])),
        ("http://inner.example/", lambda: Guard(allowed_hosts=["inner.example"])),
        ("http://inner.example/", lambda: Guard(allowed_hosts=["INNER.Example."])),
        ("http://inner.example/", lambda: Guard(allowed_hosts=["*.example"])),
        ("http://a.b.example/", lambda: Guard(allowed_hosts=["*.example"])),
        ("http://bücher.example/", lambda: Guard(allowed_hosts=["bücher.example"])),
        ("http://10.0.0.1/", lambda: Guard(allowed_hosts=["10.0.0.1"])),
        ("http://localhost/", lambda: Guard(LOOPBACK)),
        ("http://a.localhost/", lambda: Guard(["::1/128"])),
        ("http://localhost/", lambda: Guard(allowed_hosts=["localhost"])),
        ("http://a.internal/", lambda: Guard(allowed_hosts=["*.internal"])),
        ("http://a.internal/", lambda: Guard(["10.0.0.0/8"])),
        ("http://receiver/", lambda: Guard(["10.0.0.0/8"])),
        ("http://8.8.8.8:8443/", lambda: Guard(allowed_ports=[443, 8443])),
    ],
)
async def test_an_allowed_endpoint_may_be_called(
    names: dict[str, list[str]], url: str, guard: Callable[[], Guard]
) -> None:
    names.update({key: ["10.0.0.1"] for key in ("inner.example", "a.b.example")})
    names.update({key: ["10.0.0.1"] for key in ("a.internal", "receiver")})
    names.update({key: ["::1"] for key in ("localhost", "a.localhost")})
    names["xn--bcher-kva.example"] = ["10.0.0.1"]
    endpoint, _ = parse_url(url)
    guard().check(endpoint)
    assert await guard().resolve(endpoint)


@pytest.mark.parametrize(
    ("url", "guard"),
    [
        ("http://127.0.0.1/", lambda: Guard(["10.0.0.0/8", "::1/128"])),
        ("http://inner.example/", lambda: Guard(allowed_hosts=["other.example"])),
        ("http://inner.example/", lambda: Guard(allowed_hosts=["*.inner.example"])),
        ("http://notexample/", lambda: Guard(allowed_hosts=["*.example", "*.xample"])),
        ("http://8.8.8.8:22/", lambda: Guard(allowed_ports=[80, 443])),
        ("http://inner.example:22/", lambda: Guard(LOOPBACK, ["inner.example"], [80, 443])),
    ],
)
async def test_an_endpoint_that_is_not_allowed_is_blocked(
    names: dict[str, list[str]], url: str, guard: Callable[[], Guard]
) -> None:
    names.update({key: ["10.0.0.1"] for key in ("inner.example", "notexample")})
    endpoint, _ = parse_url(url)
    with pytest.raises(AddressBlocked):
        await guard().resolve(endpoint)


@pytest.mark.parametrize(
    "url",
    ["http://169.254.169.254/latest/meta-data/", "http://[::ffff:7f00:1]/", "http://8.8.8.8:1/"],
)
def test_a_forbidden_address_or_port_is_refused_when_a_reaction_is_saved(url: str) -> None:
    endpoint, _ = parse_url(url)
    with pytest.raises(InvalidReaction, match=r"must not be called|not allowed"):
        Guard(allowed_ports=[80]).check(endpoint)


@pytest.mark.parametrize(
    ("networks", "hosts"), [(["10.0.0.1/8"], []), (["x"], []), ([], ["a b"]), ([], ["*."])]
)
def test_invalid_networks_and_hosts_are_rejected(networks: list[str], hosts: list[str]) -> None:
    with pytest.raises(ValueError):
        Guard(networks, hosts)


@pytest.mark.parametrize(
    "host",
    [
        *("localhost", "LOCALHOST", "localhost.", "a.localhost", "printer.local", "nas.lan"),
        *("metadata.google.internal", "metadata.google.internal.", "router.home.arpa", "db", "db."),
        *("x.intranet", "x.corp", "x.home", "x.private", "localhost.localdomain"),
    ],
)
@pytest.mark.parametrize("guard", [Guard(), Guard(allowed_hosts=["other.internal"])])
def test_private_names_are_refused_when_a_reaction_is_saved(host: str, guard: Guard) -> None:
    endpoint, _ = parse_url(f"http://{host}/")
    with pytest.raises(InvalidReaction, match=r"http\.allowed_hosts"):
        guard.check(endpoint)


@pytest.mark.parametrize("host", ["a.internal", "db", "metadata.google.internal"])
def test_allowing_loopback_does_not_allow_private_names(host: str) -> None:
    endpoint, _ = parse_url(f"http://{host}/")
    with pytest.raises(InvalidReaction):
        Guard(LOOPBACK).check(endpoint)


@pytest.mark.parametrize(
    "host", ["example.com", "local.example.com", "internal.example", "xlocal.co"]
)
def test_names_similar_to_private_names_may_be_saved(host: str) -> None:
    endpoint, _ = parse_url(f"https://{host}/")
    Guard().check(endpoint)


@pytest.fixture(params=["native", "httpx"])
def send_over(request: pytest.FixtureRequest) -> Callable[..., Any]:
    """Function that makes a call with these settings, for each transport."""

    async def send(url: str, tls: TlsOptions | None = None, **settings: Any) -> Exchange:
        chosen = HttpSettings(transport=request.param, **settings)
        async with open_transport(chosen, None) as transport:
            return await transport.send(request_to(url, tls=tls))

    return send


async def test_http_is_refused_if_https_is_required(send_over: Callable[..., Any]) -> None:
    guard = Guard(LOOPBACK, require_https=True)
    plain, _ = parse_url("http://127.0.0.1/")
    encrypted, _ = parse_url("https://127.0.0.1/")
    with pytest.raises(InvalidReaction, match=r"http\.require_https"):
        guard.check(plain)
    guard.check(encrypted)
    async with serving(answering(OK)) as server:
        settings = {"allowed_networks": LOOPBACK, "require_https": True}
        exchange = await send_over(server.url, **settings)
        assert exchange.failure_kind is FailureKind.BLOCKED
        assert not server.connections
    authority = trustme.CA()
    options = TlsOptions(ca=authority.cert_pem.bytes().decode())
    context = server_context(authority, "127.0.0.1")
    async with serving(answering(OK), tls=context) as server:
        assert (await send_over(server.url, options, **settings)).status_code == 200


async def test_the_trailing_dot_of_a_host_is_used_for_resolution_but_not_sent(
    names: dict[str, list[str]], send_over: Callable[..., Any]
) -> None:
    names["absolute.example."] = ["127.0.0.1"]
    authority = trustme.CA()
    context = server_context(authority, "absolute.example")
    indicated: list[str | None] = []
    context.sni_callback = lambda _, name, __: indicated.append(name)
    options = TlsOptions(ca=authority.cert_pem.bytes().decode())
    async with serving(answering(OK), tls=context) as server:
        url = server.url.replace("127.0.0.1", "absolute.example.")
        exchange = await send_over(url, options, allowed_networks=LOOPBACK)
    assert exchange.status_code == 200, exchange.error
    assert indicated == ["absolute.example"]
    assert f"Host: absolute.example:{server.port}".encode() in server.requests[0][0]

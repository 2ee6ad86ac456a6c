"""Redirects: the guard checks each hop, and secrets stay with their origin."""

from __future__ import annotations

import asyncio
import ssl
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
import trustme

from delivery.http.redirects import Redirects
from delivery.http.tls.contexts import context_for
from delivery.http.transport_choice import open_transport
from delivery.message.request.head import find_header, last_head, redirects_in
from delivery.models import FailureKind, Redirect, TlsOptions
from delivery.settings import HttpSettings
from tests.support.raw_servers import (
    LOOPBACK,
    OK,
    Connected,
    RawServer,
    answering,
    read_request,
    request_to,
    serving,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from delivery.http.request import Request
    from delivery.http.transport import Transport
    from delivery.models import Exchange

pytestmark = pytest.mark.anyio

SECRETS = b"Authorization: Bearer hunter2\r\nCookie: a=b\r\nX-Api-Key: hunter2\r\n"
OTHERS = b"webhook-id: msg_1\r\nwebhook-signature: v1,abc\r\nX-Plain: yes\r\n"


@pytest.fixture(params=["native", "httpx"])
async def transport(request: pytest.FixtureRequest) -> AsyncIterator[Transport]:
    """Each transport. It may call 127.0.0.0/8 and no other private network."""
    settings = HttpSettings(transport=request.param, allowed_networks=LOOPBACK[:1])
    async with open_transport(settings, None) as opened:
        yield opened


def redirecting(
    location: str, status: str = "307 Temporary Redirect", extra: str = ""
) -> Callable[[RawServer, Connected], Awaitable[None]]:
    """Create a handler that redirects all requests. `{port}` stands for the port of the server."""

    async def handler(server: RawServer, connected: Connected) -> None:
        while await read_request(server, connected):
            target = location.replace("{port}", str(server.port))
            response = (
                f"HTTP/1.1 {status}\r\nLocation: {target}\r\n{extra}Content-Length: 0\r\n\r\n"
            )
            await connected.send(response.encode())

    return handler


def by_path(
    responses: dict[str, bytes],
) -> Callable[[RawServer, Connected], Awaitable[None]]:
    """Create a handler with a response for each path."""

    async def handler(server: RawServer, connected: Connected) -> None:
        while await read_request(server, connected):
            path = server.requests[-1][0].split(b" ")[1].decode()
            await connected.send(responses[path])

    return handler


def to(location: str) -> bytes:
    return (f"HTTP/1.1 302 Found\r\nLocation: {location}\r\nContent-Length: 4\r\n\r\ngone").encode()


async def follow(
    transport: Transport, request: Request, limit: int = 3, minimum: str | None = "1.2"
) -> Exchange:
    return await Redirects(limit, minimum).follow(transport, request)


def with_headers(request: Request, *headers: bytes) -> Request:
    request.head = request.head[:-2] + b"".join(headers) + b"\r\n"
    return request


def request_lines(server: RawServer) -> list[bytes]:
    return [head.split(b"\r\n")[0] for head, _ in server.requests]


@pytest.mark.parametrize(
    "status",
    ["301 Moved", "302 Found", "303 See Other", "307 Temporary Redirect", "308 Permanent Redirect"],
)
@pytest.mark.parametrize("method", ["POST", "GET", "PATCH"])
async def test_method_body_and_headers_are_preserved_for_all_statuses(
    transport: Transport, status: str, method: str
) -> None:
    async with (
        serving(answering(OK)) as target,
        serving(redirecting(f"{target.url}?a=1", status)) as first,
    ):
        request = with_headers(request_to(first.url, b'{"a":1}', method=method), OTHERS)
        exchange = await follow(transport, request)
    assert (exchange.status_code, exchange.failure_kind, exchange.error) == (200, None, None)
    head, body = target.requests[0]
    assert head.startswith(f"{method} /hooks?a=1 HTTP/1.1\r\n".encode())
    assert body == b'{"a":1}'
    for name in (b"webhook-id", b"webhook-signature", b"X-Plain"):
        assert find_header(head, name) == find_header(request.head, name)
    assert find_header(head, b"host") == f"127.0.0.1:{target.port}".encode()
    assert redirects_in(exchange.earlier_heads) == (Redirect(int(status[:3]), f"{target.url}?a=1"),)
    assert exchange.remote_address == f"127.0.0.1:{target.port}"
    assert last_head(exchange.response_head).startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize(
    ("location", "target"),
    [
        ("/next", b"/next"),
        ("next", b"/a/next"),
        ("../next?x=1#part", b"/next?x=1"),
        ("?q=1", b"/a/b?q=1"),
        ("//127.0.0.1:{port}/next", b"/next"),
        ("HTTP://127.0.0.1:{port}/next", b"/next"),
        ("/gr\u00fc\u00df", b"/gr%C3%BC%C3%9F"),
    ],
)
async def test_a_relative_location_is_resolved(
    transport: Transport, location: str, target: bytes
) -> None:
    async def handler(server: RawServer, connected: Connected) -> None:
        while await read_request(server, connected):
            begins = len(server.requests) == 1
            resolved = location.replace("{port}", str(server.port))
            await connected.send(to(resolved) if begins else OK)

    async with serving(handler) as server:
        request = request_to(server.url.replace("/hooks", "/a/b"))
        exchange = await follow(transport, with_headers(request, SECRETS))
    assert exchange.status_code == 200, exchange.error
    assert request_lines(server)[1] == b"POST " + target + b" HTTP/1.1"
    # The same origin receives the secrets.
    assert b"hunter2" in server.requests[1][0]


async def test_secrets_are_not_sent_to_another_origin_nor_back_to_the_first(
    transport: Transport,
) -> None:
    async with (
        serving(answering(OK)) as last,
        serving(redirecting(last.url)) as other,
        serving(redirecting(other.url)) as first,
    ):
        request = with_headers(request_to(first.url), SECRETS, OTHERS)
        exchange = await follow(transport, request)
    assert exchange.status_code == 200, exchange.error
    assert b"hunter2" in first.requests[0][0]
    for server in (other, last):
        head = server.requests[0][0].lower()
        for removed in (b"authorization", b"cookie", b"x-api-key", b"hunter2"):
            assert removed not in head
        for preserved in (b"webhook-id", b"webhook-signature: v1,abc", b"x-plain"):
            assert preserved in head
    assert [each.location for each in redirects_in(exchange.earlier_heads)] == [
        other.url,
        last.url,
    ]


@pytest.mark.parametrize(
    ("location", "reason"),
    [
        ("http://10.0.0.1/", "10.0.0.1 is not a public address"),
        ("http://[::1]:{port}/", "::1 is not a public address"),
        ("http://169.254.169.254/latest/meta-data/", "169.254.169.254 is not a public address"),
        ("http://[::ffff:10.0.0.1]/", "is not a public address"),
    ],
)
async def test_a_redirect_to_a_private_address_is_blocked(
    transport: Transport, location: str, reason: str
) -> None:
    async with serving(redirecting(location)) as server:
        exchange = await follow(transport, request_to(server.url))
        assert len(server.connections) == 1
    assert exchange.failure_kind is FailureKind.BLOCKED
    assert (exchange.error or "").startswith("the redirect is not followed: ")
    assert reason in (exchange.error or "")
    assert exchange.status_code == 307


@pytest.mark.parametrize(
    ("location", "reason"),
    [
        ("ftp://127.0.0.1/", "its scheme must be http or https"),
        ("http://user:hunter2@127.0.0.1:{port}/", "contains credentials"),
        ("http://127.1:{port}/", "four decimal numbers"),
        ("http://[::1", "Invalid IPv6 URL"),
        ("http://127.0.0.1:{port}/\t/x", "space, control character or backslash"),
        ("/a b", "space, control character or backslash"),
        ("http:\\\\127.0.0.1:{port}\\", "space, control character or backslash"),
        ("http://127.0.0.1:0/", "port 0"),
        ("/" + "x" * 9000, "1 to 8192 characters"),
        ("{port}", "redirect loop"),
        ("/hooks", "redirect loop"),
        ("#part", "redirect loop"),
    ],
)
async def test_an_invalid_redirect_is_the_last_response_with_the_reason(
    transport: Transport, location: str, reason: str
) -> None:
    # Relative to /hooks, a port number is another path, which redirects to itself.
    async with serving(redirecting(location)) as server:
        exchange = await follow(transport, request_to(server.url))
    assert exchange.failure_kind is None
    assert exchange.status_code == 307
    assert reason in (exchange.error or ""), exchange.error
    assert "hunter2" not in (exchange.error or "")


@pytest.mark.parametrize("limit", [1, 2, 3])
async def test_the_number_of_redirects_is_limited(transport: Transport, limit: int) -> None:
    responses = {"/hooks": to("/1"), **{f"/{each}": to(f"/{each + 1}") for each in range(1, 9)}}
    async with serving(by_path(responses)) as server:
        exchange = await follow(transport, request_to(server.url), limit)
    assert exchange.status_code == 302
    assert exchange.failure_kind is None
    assert "at most" in (exchange.error or "")
    assert len(server.requests) == limit + 1
    assert len(redirects_in(exchange.earlier_heads)) == limit
    assert exchange.response_body == b"gone"


@pytest.mark.parametrize("head", [b"304 Not Modified", b"300 Multiple Choices", b"305 Use Proxy"])
async def test_a_location_with_another_status_is_not_followed(
    transport: Transport, head: bytes
) -> None:
    response = b"HTTP/1.1 " + head + b"\r\nLocation: /next\r\nContent-Length: 0\r\n\r\n"
    async with serving(answering(response)) as server:
        exchange = await follow(transport, request_to(server.url))
        assert len(server.requests) == 1
    assert exchange.status_code == int(head[:3])
    assert exchange.error is None
    assert not exchange.earlier_heads


async def test_a_redirect_without_a_location_is_the_last_response(transport: Transport) -> None:
    async with serving(answering(b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\n\r\n")) as server:
        exchange = await follow(transport, request_to(server.url))
    assert (exchange.status_code, exchange.error) == (302, None)


async def test_one_deadline_covers_all_hops(transport: Transport) -> None:
    async def late(server: RawServer, connected: Connected) -> None:
        await read_request(server, connected)
        await asyncio.sleep(0.4)
        await connected.send(to(f"/{len(server.requests)}"))
        await late(server, connected)

    async with serving(late) as server:
        exchange = await follow(transport, request_to(server.url, timeout=1.0))
    assert exchange.failure_kind is FailureKind.TIMEOUT
    # A slow machine may follow fewer.
    followed = len(redirects_in(exchange.earlier_heads))
    assert followed in {1, 2}
    assert (exchange.error or "").startswith(f"after a redirect to {server.url[:-6]}/{followed}: ")
    assert "the timeout of 1 s expired" in (exchange.error or "")
    assert 900 < exchange.total_ms < 20_000
    assert exchange.status_code is None


async def test_the_times_are_the_sums_for_all_hops(transport: Transport) -> None:
    async def late(server: RawServer, connected: Connected) -> None:
        while await read_request(server, connected):
            await asyncio.sleep(0.1)
            await connected.send(to("/2") if len(server.requests) == 1 else OK)

    async with serving(late) as server:
        exchange = await follow(transport, request_to(server.url))
    assert exchange.status_code == 200
    assert (exchange.first_byte_ms or 0) > 190
    assert exchange.total_ms >= (exchange.first_byte_ms or 0)


async def test_an_unreachable_hop_fails_the_attempt(transport: Transport) -> None:
    async with serving(answering(OK)) as gone:
        pass
    async with serving(redirecting(f"{gone.url}?token=hunter2")) as server:
        exchange = await follow(transport, request_to(server.url))
    assert exchange.failure_kind is FailureKind.TRANSPORT
    assert (exchange.error or "").startswith(f"after a redirect to {gone.url}?token=***: ")
    assert exchange.status_code is None
    assert exchange.response_head == b""
    assert b"hunter2" not in exchange.earlier_heads
    assert redirects_in(exchange.earlier_heads) == (Redirect(307, f"{gone.url}?token=***"),)


async def test_secrets_in_an_earlier_head_are_redacted(transport: Transport) -> None:
    async with serving(answering(OK)) as target:
        handler = redirecting(target.url, extra="Set-Cookie: session=hunter2\r\n")
        async with serving(handler) as server:
            exchange = await follow(transport, request_to(server.url))
    assert exchange.status_code == 200
    assert b"hunter2" not in exchange.earlier_heads
    assert b"Set-Cookie: ***".lower() in exchange.earlier_heads.lower()


@asynccontextmanager
async def two_origins(
    authority: trustme.CA, *, asks: bool = False
) -> AsyncIterator[tuple[RawServer, RawServer]]:
    """Serve https at two origins. The first redirects to the second.

    Args:
        authority: Authority of the certificates.
        asks: Request a client certificate at the second origin.
    """
    contexts = []
    for _ in range(2):
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        authority.issue_cert("127.0.0.1").configure_cert(context)
        contexts.append(context)
    if asks:
        authority.configure_trust(contexts[1])
        contexts[1].verify_mode = ssl.CERT_OPTIONAL
    async with (
        serving(answering(OK), tls=contexts[1]) as target,
        serving(redirecting(target.url), tls=contexts[0]) as first,
    ):
        yield first, target


async def test_a_private_authority_is_trusted_only_at_its_origin(transport: Transport) -> None:
    authority = trustme.CA()
    trusting = TlsOptions(ca=authority.cert_pem.bytes().decode())
    async with two_origins(authority) as (first, target):
        exchange = await follow(transport, request_to(first.url, tls=trusting))
        assert len(first.requests) == 1
        assert not target.requests
    assert exchange.failure_kind is FailureKind.TLS
    assert "tls.ca" in (exchange.error or "")


async def test_a_client_certificate_is_presented_only_to_its_origin(
    transport: Transport, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = trustme.CA()
    trusted = tmp_path_factory.mktemp("authority") / "ca.pem"
    authority.cert_pem.write_to_path(str(trusted))
    # The system trusts the other origin, so only the client certificate makes a difference.
    monkeypatch.setenv("SSL_CERT_FILE", str(trusted))
    context_for.cache_clear()
    ours = authority.issue_cert("client@example.com")
    options = TlsOptions(
        client_certificate=ours.cert_chain_pems[0].bytes().decode(),
        client_key=ours.private_key_pem.bytes().decode(),
        minimum_version="1.3",
    )
    async with two_origins(authority, asks=True) as (first, target):
        directly = await transport.send(request_to(target.url, tls=options))
        exchange = await follow(transport, request_to(first.url, tls=options), minimum="1.3")
    assert directly.status_code == exchange.status_code == 200, exchange.error
    presented = [each.writer.get_extra_info("peercert") for each in target.connections]
    assert presented[0]
    assert presented[1:] == [None]


async def test_a_redirect_from_https_to_http_is_blocked(transport: Transport) -> None:
    authority = trustme.CA()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    trusting = TlsOptions(ca=authority.cert_pem.bytes().decode())
    async with serving(answering(OK)) as plain:
        async with serving(redirecting(plain.url), tls=context) as server:
            exchange = await follow(transport, request_to(server.url, tls=trusting))
        assert not plain.connections
    assert exchange.failure_kind is FailureKind.BLOCKED
    assert exchange.error == (
        f"the redirect is not followed: {plain.url} is not https, unlike the previous URL"
    )
    assert exchange.status_code == 307

"""Adapters between httpx and the engine's transport."""

from __future__ import annotations

import asyncio
import gc
import gzip
import ssl
from typing import TYPE_CHECKING

import httpx
import pytest
import trustme

from delivery.http.adapters.httpx_transports import DeliveryHttpxTransport, HttpxTransport
from delivery.http.guard import Guard
from delivery.http.native import NativeTransport
from delivery.http.transport_choice import open_transport
from delivery.message.request.head import find_header
from delivery.models import Exchange, FailureKind, TlsOptions
from delivery.settings import HttpSettings
from tests.support.raw_servers import (
    LOOPBACK,
    OK,
    Connected,
    RawServer,
    answering,
    native,
    read_request,
    request_to,
    serving,
    unanswering_port,
    until,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from delivery.http.request import Request

pytestmark = pytest.mark.anyio

LIMITS = (4096, 1000)
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


async def over_httpx(request: Request, settings: HttpSettings | None = None) -> Exchange:
    """Make one exchange over the transport of httpx."""
    chosen = settings or HttpSettings(
        transport="httpx",
        allowed_networks=LOOPBACK,
        max_response_head=LIMITS[0],
        max_response_body=LIMITS[1],
    )
    async with open_transport(chosen, None) as transport:
        assert isinstance(transport, HttpxTransport)
        return await transport.send(request)


@pytest.mark.parametrize(
    ("parts", "close"),
    [
        pytest.param((OK,), False, id="plain"),
        pytest.param((CHUNKED + b"2\r\nab\r\n1\r\nc\r\n0\r\n\r\n",), False, id="chunked"),
        pytest.param((CHUNKED + b"2\r\nab\r\n0\r\nX-T: 1\r\n\r\n",), False, id="trailers"),
        pytest.param((b"HTTP/1.1 100 Continue\r\n\r\n" + OK,), False, id="100"),
        pytest.param((b"HTTP/1.1 103 Hints\r\nLink: x\r\n\r\n", OK), False, id="103"),
        pytest.param((b"HTTP/1.1 204 No Content\r\n\r\n",), False, id="204"),
        pytest.param((b"HTTP/1.1 304 Not Modified\r\n\r\n",), False, id="304"),
        pytest.param(
            (b"HTTP/1.1 301 Moved\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n",), False, id="301"
        ),
        pytest.param((b"HTTP/1.0 200 OK\r\n\r\nold",), True, id="HTTP/1.0"),
        pytest.param((b"HTTP/1.1 200 OK\r\n\r\nto the end",), True, id="to the end"),
        pytest.param(
            (b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok",),
            True, id="close",
        ),
        pytest.param((b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok",), False, id="bare LF"),
        pytest.param(
            (b"HTTP/1.1 200 OK\r\nX: a\r\n b\r\nContent-Length: 2\r\n\r\nok",), False, id="folded"
        ),
        pytest.param((OK + OK,), False, id="unrequested response"),
        pytest.param((b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok",), True, id="short body"),
        pytest.param((CHUNKED + b"9\r\nok",), True, id="short chunk"),
        pytest.param((b"",), True, id="nothing"),
        pytest.param((b"SSH-2.0-x\r\n\r\n",), True, id="another protocol"),
        pytest.param((b"HTTP/1.1 200 OK\r\nConte",), True, id="short head"),
        pytest.param((b"HTTP/1.1 200 OK\r\nX: " + b"x" * 5000 + b"\r\n\r\n",), True, id="head"),
        pytest.param((b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 5000,), True, id="body bomb"),
        pytest.param(
            (b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n" + gzip.compress(bytes(200_000)),),
            True, id="gzip bomb",
        ),
        pytest.param(
            (b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n" + gzip.compress(b"hi"),),
            True, id="gzip",
        ),
    ],
)  # fmt: skip
async def test_both_transports_return_the_same_result(
    parts: tuple[bytes, ...],
    close: bool,  # noqa: FBT001
) -> None:
    async with serving(answering(*parts, close=close)) as server:
        theirs = await over_httpx(request_to(server.url))
        async with native(max_head=LIMITS[0], max_body=LIMITS[1]) as transport:
            ours = await transport.send(request_to(server.url))
    assert theirs.failure_kind == ours.failure_kind, (theirs.error, ours.error)
    assert theirs.status_code == ours.status_code
    assert theirs.response_body == ours.response_body
    assert theirs.truncated == ours.truncated
    for name in (b"location", b"x"):
        our_value = find_header(ours.response_head, name)
        assert find_header(theirs.response_head, name) == our_value or our_value == b"a"
    heads = {head.split(b"\r\n")[0] for head, _ in server.requests}
    assert heads == {b"POST /hooks HTTP/1.1"}
    assert {body for _, body in server.requests} == {b"{}"}


async def test_the_deadline_applies_to_httpx() -> None:
    async def handler(server: RawServer, connected: Connected) -> None:
        await read_request(server, connected)
        await connected.send(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            await connected.send(b"x")
            await asyncio.sleep(0.02)

    async with serving(handler) as server:
        exchange = await over_httpx(request_to(server.url, timeout=1.0))
    assert exchange.failure_kind is FailureKind.TIMEOUT
    assert exchange.error == "the timeout of 1 s expired while reading the response's body"
    assert exchange.status_code == 200
    assert set(exchange.response_body) == set(b"x")
    assert exchange.truncated


async def test_the_connect_timeout_applies_to_httpx() -> None:
    with unanswering_port() as port:
        exchange = await over_httpx(request_to(f"http://127.0.0.1:{port}/", connect_timeout=0.2))
    assert exchange.failure_kind is FailureKind.TIMEOUT
    assert "while connecting" in (exchange.error or "")


async def test_the_guard_applies_to_httpx() -> None:
    async with serving(answering(OK)) as server:
        exchange = await over_httpx(request_to(server.url), HttpSettings(transport="httpx"))
        assert not server.connections
    assert exchange.failure_kind is FailureKind.BLOCKED


async def test_failures_of_httpx_are_classified() -> None:
    authority = trustme.CA()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    options = TlsOptions(ca=authority.cert_pem.bytes().decode())
    async with serving(answering(OK), tls=context) as server:
        untrusted = await over_httpx(request_to(server.url))
        trusted = await over_httpx(request_to(server.url, tls=options))
        nonsense = await over_httpx(request_to(server.url, tls=TlsOptions(ca="nonsense")))
    refused = await over_httpx(request_to(server.url.replace("https", "http")))
    unknown = await over_httpx(request_to("http://name.invalid/"))
    assert untrusted.failure_kind is FailureKind.TLS
    assert "certificate is not accepted" in (untrusted.error or "")
    assert trusted.status_code == 200, trusted
    assert trusted.remote_address == f"127.0.0.1:{server.port}"
    assert nonsense.failure_kind is FailureKind.MISCONFIGURED
    assert refused.failure_kind is FailureKind.TRANSPORT
    assert refused.error
    assert unknown.failure_kind is FailureKind.DNS


async def test_a_mock_transport_of_httpx_can_be_used() -> None:
    seen: list[httpx.Request] = []

    def respond(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(202, json={"ok": True}, headers={"X-One": "a"})

    settings = HttpSettings(allowed_hosts=("receiver.test",), allowed_networks=LOOPBACK)
    async with open_transport(settings, httpx.MockTransport(respond)) as transport:
        exchange = await transport.send(request_to("http://127.0.0.1/hooks?a=1", b'{"b": 2}'))
    assert exchange.status_code == 202
    assert exchange.response_body == b'{"ok":true}'
    assert find_header(exchange.response_head, b"x-one") == b"a"
    assert str(seen[0].url) == "http://127.0.0.1/hooks?a=1"
    assert seen[0].content == b'{"b": 2}'
    assert seen[0].method == "POST"


async def test_an_error_of_a_custom_transport_is_a_transport_failure() -> None:
    def fail(request: httpx.Request) -> httpx.Response:
        msg = ""
        raise httpx.ReadError(msg, request=request)

    transport = HttpxTransport(httpx.MockTransport(fail), Guard(LOOPBACK), *LIMITS)
    exchange = await transport.send(request_to("http://127.0.0.1/"))
    assert exchange.failure_kind is FailureKind.TRANSPORT
    assert exchange.error == "ReadError"


async def test_a_client_of_httpx_can_use_the_engines_transport() -> None:
    raw_response = (
        b"HTTP/1.1 200 OK\r\nX-A: 1\r\nX-A: 2\r\nContent-Type: application/json\r\n"
        b"Content-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    packed = gzip.compress(b'{"a": 1}')
    chunks = b"%x\r\n%b\r\n0\r\n\r\n" % (len(packed), packed)
    async with serving(answering(raw_response + chunks)) as server, native() as transport:
        client = httpx.AsyncClient(transport=DeliveryHttpxTransport(transport))
        async with client:
            response = await client.post(server.url + "?q=ä", json={"b": 2}, auth=("u", "p"))
            again = await client.post(server.url, content=streamed())
    assert response.json() == again.json() == {"a": 1}
    assert response.headers.get_list("x-a") == ["1", "2"]
    head, body = server.requests[0]
    assert head.startswith(b"POST /hooks?q=%C3%A4 HTTP/1.1\r\n")
    assert find_header(head, b"authorization") == b"Basic dTpw"
    assert body == b'{"b":2}'
    assert server.requests[1][1] == b"streamed"
    assert len(server.connections) == 1


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE"])
async def test_requests_without_a_body_are_sent_for_all_methods(method: str) -> None:
    raw_response = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n"
    body = b"" if method == "HEAD" else b"ok"
    async with (
        serving(answering(raw_response + body)) as server,
        native() as transport,
        httpx.AsyncClient(transport=DeliveryHttpxTransport(transport)) as client,
    ):
        response = await client.request(method, server.url)
    assert (response.status_code, response.content) == (200, body)
    assert response.headers["content-length"] == "2"
    head, sent = server.requests[0]
    assert head.startswith(f"{method} /hooks HTTP/1.1\r\n".encode())
    assert sent == b""


async def test_redirects_are_followed_only_at_the_clients_request() -> None:
    moved = b"HTTP/1.1 302 Found\r\nLocation: /new\r\nContent-Length: 0\r\n\r\n"

    async def redirecting(server: RawServer, connected: Connected) -> None:
        while await read_request(server, connected):
            await connected.send(moved if b" /hooks " in server.requests[-1][0] else OK)

    async with (
        serving(redirecting) as server,
        native() as transport,
        httpx.AsyncClient(transport=DeliveryHttpxTransport(transport)) as client,
    ):
        assert (await client.get(server.url)).status_code == 302
        followed = await client.get(server.url, follow_redirects=True)
    assert followed.content == b"ok"
    assert [response.status_code for response in followed.history] == [302]


async def streamed() -> AsyncIterator[bytes]:
    yield b"stre"
    yield b"amed"


@pytest.mark.parametrize(
    ("parts", "error"),
    [
        ((b"",), httpx.ReadError),
        ((b"SSH\r\n",), httpx.RemoteProtocolError),
        ((b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx",), httpx.RemoteProtocolError),
        ((b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 5000,), httpx.ReadError),
    ],
)
async def test_failures_raise_errors_of_httpx(
    parts: tuple[bytes, ...], error: type[httpx.TransportError]
) -> None:
    async with serving(answering(*parts, close=True)) as server, native(max_body=1000) as transport:
        with pytest.raises(error) as raised:
            await DeliveryHttpxTransport(transport).handle_async_request(
                httpx.Request("POST", server.url, content=b"")
            )
        assert type(raised.value) is error
        assert raised.value.request.url == server.url


async def test_connection_failures_raise_errors_of_httpx() -> None:
    async with (
        serving(answering(OK)) as server,
        httpx.AsyncClient(
            transport=DeliveryHttpxTransport(NativeTransport(Guard(), 15.0, 10, *LIMITS))
        ) as client,
    ):
        with pytest.raises(httpx.UnsupportedProtocol, match="not a public address"):
            await client.get(server.url)
        with pytest.raises(httpx.UnsupportedProtocol, match="four decimal numbers"):
            await client.get("http://2130706433/")
    async with httpx.AsyncClient(
        transport=DeliveryHttpxTransport(NativeTransport(Guard(LOOPBACK), 15.0, 10, *LIMITS))
    ) as client:
        with pytest.raises(httpx.ConnectError):
            await client.get(server.url)
        with pytest.raises(httpx.LocalProtocolError):
            await client.get(server.url, headers={"X": "a\r\nY: b"})
        with unanswering_port() as port, pytest.raises(httpx.ConnectTimeout):
            await client.get(f"http://127.0.0.1:{port}/", timeout=0.2)


async def test_the_timeouts_of_a_client_become_one_deadline() -> None:
    async def handler(server: RawServer, connected: Connected) -> None:
        await connected.reader.read()

    async with (
        serving(handler) as server,
        native() as transport,
        httpx.AsyncClient(transport=DeliveryHttpxTransport(transport)) as client,
    ):
        with pytest.raises(httpx.ReadTimeout):
            await client.get(server.url, timeout=1.0)
        without_limit = asyncio.create_task(client.get(server.url, timeout=None))
        await until(lambda: len(server.connections) == 2)
        without_limit.cancel()
        await asyncio.gather(without_limit, return_exceptions=True)


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_httpx_leaves_no_socket_open_after_a_timeout(scheme: str) -> None:
    """A socket left open during a handshake causes a warning, which fails the test."""
    ended: list[bytes] = []

    async def silent(_: RawServer, connected: Connected) -> None:
        ended.append(await connected.reader.read())

    async with serving(silent) as server:
        url = server.url.replace("http", scheme)
        exchange = await over_httpx(request_to(url, timeout=0.2))
        assert exchange.failure_kind is FailureKind.TIMEOUT
        gc.collect()
        await until(lambda: ended)

"""TLS: verification, options, sessions and failures."""

from __future__ import annotations

import asyncio
import ssl
import tempfile
from typing import TYPE_CHECKING

import pytest
import trustme

from delivery.errors import InvalidReaction
from delivery.http.tls.contexts import check_tls, context_for, with_minimum
from delivery.http.tls.transport import TlsTransport
from delivery.models import FailureKind, TlsOptions
from tests.support.raw_servers import (
    OK,
    Connected,
    RawServer,
    answering,
    native,
    request_to,
    serving,
    until,
)
from tests.support.tls_servers import client_options, pem, refusing_server, server_context

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    """Authority that the system does not trust."""
    return trustme.CA()


@pytest.fixture(scope="module")
def trusting(authority: trustme.CA) -> TlsOptions:
    """Options that trust the authority."""
    return TlsOptions(ca=pem(authority.cert_pem))


async def test_a_certificate_of_a_private_authority_is_accepted_with_tls_ca(
    authority: trustme.CA, trusting: TlsOptions
) -> None:
    context = server_context(authority, "127.0.0.1")
    async with serving(answering(OK), tls=context) as server, native() as transport:
        first = await transport.send(request_to(server.url, tls=trusting))
        second = await transport.send(request_to(server.url, b"x" * 1_000_000, tls=trusting))
    assert first.status_code == second.status_code == 200, first
    assert first.tls_ms is not None
    assert first.tls_ms > 0
    assert second.reused
    assert second.tls_ms is None
    assert len(server.requests[1][1]) == 1_000_000


@pytest.mark.parametrize(
    ("names", "trusted", "error"),
    [
        (["127.0.0.1"], False, "unable to get local issuer certificate"),
        (["other.example"], True, "IP address mismatch"),
    ],
)
async def test_an_untrusted_or_mismatched_certificate_is_a_tls_failure(
    authority: trustme.CA,
    trusting: TlsOptions,
    names: list[str],
    trusted: bool,  # noqa: FBT001
    error: str,
) -> None:
    options = trusting if trusted else None
    context = server_context(authority, *names)
    async with serving(answering(OK), tls=context) as server, native() as transport:
        exchange = await transport.send(request_to(server.url, tls=options))
        assert not server.requests
    assert exchange.failure_kind is FailureKind.TLS
    assert (exchange.error or "").startswith("the server's certificate is not accepted")
    assert error in (exchange.error or "")
    assert exchange.connect_ms is not None
    assert exchange.tls_ms is None


async def test_the_certificate_is_verified_for_the_host_name_not_the_address(
    authority: trustme.CA, trusting: TlsOptions
) -> None:
    context = server_context(authority, "localhost")
    async with serving(answering(OK), tls=context) as server, native() as transport:
        url = server.url.replace("127.0.0.1", "localhost")
        assert (await transport.send(request_to(url, tls=trusting))).status_code == 200


async def test_a_server_without_tls_is_a_tls_failure() -> None:
    async def handler(server: object, connected: object) -> None:
        """Close the connection immediately."""

    async with serving(answering(OK)) as plain, native() as transport:
        plain.scheme = "https"
        exchange = await transport.send(request_to(plain.url, timeout=1.0))
    assert exchange.failure_kind in {FailureKind.TLS, FailureKind.TIMEOUT}
    async with serving(handler) as closing, native() as transport:
        closing.scheme = "https"
        exchange = await transport.send(request_to(closing.url))
    assert exchange.failure_kind is FailureKind.TLS
    assert (exchange.error or "").startswith("the TLS handshake failed")


async def test_versions_before_1_2_are_refused(authority: trustme.CA, trusting: TlsOptions) -> None:
    context = server_context(authority, "127.0.0.1")
    context.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="TLSv1"):
        context.minimum_version = ssl.TLSVersion.TLSv1
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    async with serving(answering(OK), tls=context) as server, native() as transport:
        exchange = await transport.send(request_to(server.url, tls=trusting))
    assert exchange.failure_kind is FailureKind.TLS


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_a_client_certificate_is_presented_on_request(
    authority: trustme.CA, trusting: TlsOptions, version: ssl.TLSVersion
) -> None:
    context = server_context(authority, "127.0.0.1")
    authority.configure_trust(context)
    context.verify_mode = ssl.CERT_REQUIRED
    context.maximum_version = version
    async with refusing_server(context) as url, native() as transport:
        # With TLS 1.3, the server rejects the client only after the handshake.
        without = await transport.send(request_to(url, tls=trusting))
    assert without.failure_kind is FailureKind.TLS, without
    assert without.status_code is None
    async with serving(answering(OK), tls=context) as server, native() as transport:
        with_one = request_to(server.url, tls=client_options(authority))
        assert (await transport.send(with_one)).status_code == 200


async def test_connections_with_different_options_are_not_shared(
    authority: trustme.CA, trusting: TlsOptions
) -> None:
    context = server_context(authority, "127.0.0.1")
    async with serving(answering(OK), tls=context) as server, native() as transport:
        assert (await transport.send(request_to(server.url, tls=trusting))).status_code == 200
        exchange = await transport.send(request_to(server.url))
    assert exchange.failure_kind is FailureKind.TLS


async def test_invalid_options_are_a_misconfigured_exchange() -> None:
    async with serving(answering(OK)) as server, native() as transport:
        server.scheme = "https"
        exchange = await transport.send(request_to(server.url, tls=TlsOptions(ca="nonsense")))
    assert exchange.failure_kind is FailureKind.MISCONFIGURED
    assert "tls.ca is invalid" in (exchange.error or "")


@pytest.mark.parametrize(("minimum", "accepted"), [(None, True), ("1.2", True), ("1.3", False)])
async def test_the_minimum_version_is_enforced(
    authority: trustme.CA,
    minimum: str | None,
    accepted: bool,  # noqa: FBT001
) -> None:
    context = server_context(authority, "127.0.0.1")
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    options = TlsOptions(ca=pem(authority.cert_pem), minimum_version=minimum)
    async with serving(answering(OK), tls=context) as server, native() as transport:
        exchange = await transport.send(request_to(server.url, tls=options))
    assert (exchange.status_code == 200) is accepted
    assert (exchange.failure_kind is FailureKind.TLS) is not accepted


@pytest.mark.parametrize("version", ["1.1", "1", "TLSv1.3", "", 1.3])
def test_an_invalid_minimum_version_is_refused(version: str) -> None:
    with pytest.raises(InvalidReaction, match=r"minimum_version is .*; use one of 1\.2, 1\.3"):
        check_tls(TlsOptions(minimum_version=version))


def test_the_minimum_version_of_the_settings_is_the_default() -> None:
    assert with_minimum(TlsOptions(), "1.3").minimum_version == "1.3"
    assert with_minimum(TlsOptions(minimum_version="1.2"), "1.3").minimum_version == "1.2"


def resumed(server: RawServer) -> list[bool]:
    """Return for each connection whether it resumed a session."""
    objects = (each.writer.get_extra_info("ssl_object") for each in server.connections)
    return [each.session_reused for each in objects]


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_later_connections_resume_the_session(
    authority: trustme.CA, trusting: TlsOptions, version: ssl.TLSVersion
) -> None:
    context = server_context(authority, "127.0.0.1")
    context.maximum_version = version
    closing = answering(OK, close=True)
    async with serving(closing, tls=context) as server, native(keepalive=0) as transport:
        for _ in range(4):
            assert (await transport.send(request_to(server.url, tls=trusting))).status_code == 200
    assert resumed(server) == [False, True, True, True]


async def test_a_session_is_resumed_only_for_the_same_host_and_options(
    authority: trustme.CA, trusting: TlsOptions
) -> None:
    context = server_context(authority, "127.0.0.1", "localhost")
    closing = answering(OK, close=True)
    async with serving(closing, tls=context) as server, native(keepalive=0) as transport:
        named = server.url.replace("127.0.0.1", "localhost")
        ours = client_options(authority)
        for request in (
            request_to(server.url, tls=trusting),
            request_to(named, tls=trusting),
            request_to(server.url, tls=ours),
        ):
            assert (await transport.send(request)).status_code == 200
        # The trusted authorities of another call must not affect this one.
        untrusting = await transport.send(request_to(server.url))
    assert untrusting.failure_kind is FailureKind.TLS
    assert not any(resumed(server)[:3])


async def test_stalled_handshakes_do_not_block_others(
    authority: trustme.CA, trusting: TlsOptions
) -> None:
    async def silent(server: RawServer, connected: Connected) -> None:
        await connected.reader.read()

    context = server_context(authority, "127.0.0.1")
    async with (
        serving(silent) as stalled,
        serving(answering(OK), tls=context) as server,
        native(connections=200) as transport,
    ):
        stalled.scheme = "https"
        waiting = [asyncio.create_task(transport.send(request_to(stalled.url))) for _ in range(100)]
        await until(lambda: len(stalled.connections) == 100)
        exchange = await transport.send(request_to(server.url, tls=trusting))
        assert exchange.status_code == 200
        assert not any(task.done() for task in waiting)
        for task in waiting:
            task.cancel()
        await asyncio.wait(waiting)


async def test_bodies_larger_than_the_systems_buffers_are_sent_and_received(
    authority: trustme.CA, trusting: TlsOptions
) -> None:
    body = bytes(range(256)) * 20_000
    response = b"HTTP/1.1 200 OK\r\nContent-Length: 300000\r\n\r\n" + b"x" * 300_000
    context = server_context(authority, "127.0.0.1")
    async with (
        serving(answering(response), tls=context) as server,
        native(max_body=400_000) as transport,
    ):
        for _ in range(2):
            exchange = await transport.send(request_to(server.url, body, tls=trusting))
            assert exchange.status_code == 200, exchange.error
            assert exchange.response_body == b"x" * 300_000
    assert exchange.reused
    assert [sent for _, sent in server.requests] == [body, body]


@pytest.mark.parametrize("length", [b"", b"Content-Length: 5\r\n"])
async def test_the_close_notify_alert_ends_a_response(
    authority: trustme.CA, trusting: TlsOptions, length: bytes
) -> None:
    context = server_context(authority, "127.0.0.1")
    response = b"HTTP/1.1 200 OK\r\n" + length + b"\r\nabc"
    async with (
        serving(answering(response, close=True), tls=context) as server,
        native() as transport,
    ):
        exchange = await transport.send(request_to(server.url, tls=trusting))
    assert exchange.response_body == b"abc"
    assert exchange.truncated is bool(length)
    assert exchange.failure_kind is (FailureKind.TRANSPORT if length else None)


def test_valid_options_are_accepted(authority: trustme.CA) -> None:
    check_tls(TlsOptions())
    check_tls(client_options(authority))


def test_invalid_options_are_refused_without_the_key_in_the_error(authority: trustme.CA) -> None:
    good = client_options(authority)
    other = client_options(authority)
    for bad, message in [
        (TlsOptions(ca=""), "tls.ca is invalid"),
        (TlsOptions(ca="nonsense"), "tls.ca is invalid"),
        (TlsOptions(ca="ü"), "tls.ca is invalid"),
        (TlsOptions(client_key=good.client_key), "requires tls.client_certificate"),
        (TlsOptions(client_certificate=good.client_certificate), "is invalid"),
        (TlsOptions(client_certificate="x", client_key=good.client_key), "is invalid"),
        (
            TlsOptions(client_certificate=good.client_certificate, client_key=other.client_key),
            "key values mismatch|KEY_VALUES_MISMATCH",
        ),
    ]:
        with pytest.raises(InvalidReaction, match=message) as refused:
            check_tls(bad)
        assert "PRIVATE KEY" not in str(refused.value)


def test_the_temporary_file_with_the_key_is_deleted(
    authority: trustme.CA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    check_tls(client_options(authority))
    with pytest.raises(InvalidReaction):
        check_tls(TlsOptions(client_certificate="x", client_key="y"))
    assert not list(tmp_path.iterdir())


def test_equal_options_share_a_context(authority: trustme.CA) -> None:
    options = client_options(authority)
    same = TlsOptions(options.ca, options.client_certificate, options.client_key)
    assert context_for(options) is context_for(same)
    assert context_for(TlsOptions()).verify_mode is ssl.CERT_REQUIRED
    assert context_for(TlsOptions()).check_hostname


async def test_canceling_while_a_connection_is_made_writes_to_no_closed_socket(
    authority: trustme.CA, trusting: TlsOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Event loops close the socket then, and do not say so."""
    made = TlsTransport.connection_made

    def cancel_and_make(secured: TlsTransport, socket: asyncio.BaseTransport) -> None:
        # The socket is closed before the first step of the handshake, which `made` asks for.
        calling.cancel()
        made(secured, socket)

    monkeypatch.setattr(TlsTransport, "connection_made", cancel_and_make)
    context = server_context(authority, "127.0.0.1")
    async with serving(answering(OK), tls=context) as server, native() as transport:
        calling = asyncio.create_task(transport.send(request_to(server.url, tls=trusting)))
        with pytest.raises(asyncio.CancelledError):
            await calling
        # An error in a callback of the event loop would fail the test.
        for _ in range(10):
            await asyncio.sleep(0)
        assert not transport._open

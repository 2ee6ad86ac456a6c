"""TLS errors contain the problem and its remedy."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
import trustme

from delivery.http.transport_choice import open_transport
from delivery.models import FailureKind, TlsOptions
from delivery.settings import HttpSettings
from tests.support.raw_servers import (
    LOOPBACK,
    OK,
    Connected,
    RawServer,
    answering,
    request_to,
    serving,
)
from tests.support.tls_servers import client_options, pem, refusing_server, server_context

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from delivery.http.transport import Transport

pytestmark = pytest.mark.anyio

NOW = datetime.now(UTC)


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    """Authority that the system does not trust."""
    return trustme.CA()


@pytest.fixture(scope="module")
def trusting(authority: trustme.CA) -> TlsOptions:
    """Options that trust the authority."""
    return TlsOptions(ca=pem(authority.cert_pem))


@pytest.fixture(params=["native", "httpx"])
async def transport(request: pytest.FixtureRequest) -> AsyncIterator[Transport]:
    """Each transport."""
    settings = HttpSettings(transport=request.param, allowed_networks=LOOPBACK)
    async with open_transport(settings, None) as opened:
        yield opened


async def refused(transport: Transport, url: str, tls: TlsOptions | None = None) -> str:
    """Make a call that fails in TLS, and return its error."""
    exchange = await transport.send(request_to(url, tls=tls))
    assert exchange.failure_kind is FailureKind.TLS, exchange
    assert exchange.status_code is None
    assert exchange.error is not None
    assert "\n" not in exchange.error
    return exchange.error


@pytest.mark.parametrize(
    ("name", "certificate", "reason", "advice"),
    [
        (
            "127.0.0.1",
            {"not_before": NOW - timedelta(days=9), "not_after": NOW - timedelta(days=2)},
            "certificate has expired",
            "renew it on the server",
        ),
        (
            "127.0.0.1",
            {"not_before": NOW + timedelta(days=2), "not_after": NOW + timedelta(days=9)},
            "certificate is not yet valid",
            "it is not valid yet: check the clock of this machine and the certificate",
        ),
        (
            "other.example",
            {},
            "IP address mismatch, certificate is not valid for '127.0.0.1'",
            "use a host name of the certificate, or install a certificate for this name",
        ),
    ],
)
async def test_an_expired_early_or_mismatched_certificate(
    transport: Transport,
    authority: trustme.CA,
    trusting: TlsOptions,
    name: str,
    certificate: dict[str, Any],
    reason: str,
    advice: str,
) -> None:
    context = server_context(authority, name, **certificate)
    async with serving(answering(OK), tls=context) as server:
        error = await refused(transport, server.url, trusting)
        assert not server.requests
    assert error == f"the server's certificate is not accepted: {reason}; {advice}"


async def test_a_certificate_for_another_host(
    transport: Transport, authority: trustme.CA, trusting: TlsOptions
) -> None:
    context = server_context(authority, "127.0.0.1")
    async with serving(answering(OK), tls=context) as server:
        error = await refused(transport, server.url.replace("127.0.0.1", "localhost"), trusting)
    assert "certificate is not valid for 'localhost'; use a host name" in error


async def test_a_certificate_of_an_unknown_issuer(
    transport: Transport, authority: trustme.CA, trusting: TlsOptions
) -> None:
    context = server_context(authority, "127.0.0.1")
    async with serving(answering(OK), tls=context) as server:
        by_the_system = await refused(transport, server.url)
        by_another = await refused(transport, server.url, TlsOptions(ca=pem(trustme.CA().cert_pem)))
    for error in (by_the_system, by_another):
        assert "unable to get local issuer certificate" in error
        assert "for a private authority, set tls.ca to its certificate" in (error)


async def test_a_self_signed_certificate(transport: Transport) -> None:
    # The server presents the certificate of the authority.
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with authority.private_key_pem.tempfile() as key, authority.cert_pem.tempfile() as chain:
        context.load_cert_chain(chain, key)
    async with serving(answering(OK), tls=context) as server:
        error = await refused(transport, server.url)
    assert "self-signed certificate; it is self-signed: to trust it, set tls.ca to it" in error


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_a_missing_client_certificate(
    transport: Transport, authority: trustme.CA, trusting: TlsOptions, version: ssl.TLSVersion
) -> None:
    context = server_context(authority, "127.0.0.1")
    authority.configure_trust(context)
    context.verify_mode = ssl.CERT_REQUIRED
    context.maximum_version = version
    async with refusing_server(context) as url:
        error = await refused(transport, url, trusting)
    assert error.startswith("the TLS handshake failed: ")
    assert "the server requires a client certificate: set tls.client_certificate" in error


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_an_untrusted_client_certificate(
    transport: Transport, authority: trustme.CA, version: ssl.TLSVersion
) -> None:
    context = server_context(authority, "127.0.0.1")
    authority.configure_trust(context)
    context.verify_mode = ssl.CERT_REQUIRED
    context.maximum_version = version
    async with refusing_server(context) as url:
        error = await refused(transport, url, client_options(authority, of=trustme.CA()))
    assert error.startswith("the TLS handshake failed: TLSV1_ALERT_UNKNOWN_CA; ")
    assert "the server rejects the client certificate" in error


async def test_a_server_below_the_minimum_version_of_the_call(
    transport: Transport, authority: trustme.CA
) -> None:
    context = server_context(authority, "127.0.0.1")
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    options = TlsOptions(ca=pem(authority.cert_pem), minimum_version="1.3")
    async with refusing_server(context) as url:
        error = await refused(transport, url, options)
    assert "the server must support TLS 1.3 or later (tls.minimum_version)" in error


async def test_a_server_with_only_versions_before_1_2(
    transport: Transport, authority: trustme.CA, trusting: TlsOptions
) -> None:
    context = server_context(authority, "127.0.0.1")
    context.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="TLSv1"):
        context.minimum_version = ssl.TLSVersion.TLSv1
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    async with refusing_server(context) as url:
        error = await refused(transport, url, trusting)
    assert "the server must support TLS 1.2 or later" in error


@pytest.mark.parametrize(
    "response",
    [
        b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\nhttp to https port",
        b"220 mail.example ESMTP ready\r\n",
        b"SSH-2.0-OpenSSH_9.6\r\n",
    ],
)
async def test_a_port_without_tls(transport: Transport, response: bytes) -> None:
    async def plain(server: RawServer, connected: Connected) -> None:
        await connected.reader.read(65_536)
        await connected.send(response)

    async with serving(plain) as server:
        server.scheme = "https"
        error = await refused(transport, server.url)
    assert "does not speak TLS on this port; use http:// or another port" in error


async def test_a_connection_closed_during_the_handshake(transport: Transport) -> None:
    async def closing(server: RawServer, connected: Connected) -> None:
        await connected.reader.read(65_536)

    async with serving(closing) as server:
        server.scheme = "https"
        error = await refused(transport, server.url)
    assert error.startswith("the TLS handshake failed: ")


async def test_the_tls_options_of_a_call_do_not_affect_other_calls(
    transport: Transport, authority: trustme.CA, trusting: TlsOptions
) -> None:
    context = server_context(authority, "127.0.0.1")
    authority.configure_trust(context)
    context.verify_mode = ssl.CERT_OPTIONAL
    async with serving(answering(OK), tls=context) as server:
        for options in (client_options(authority), trusting):
            exchange = await transport.send(request_to(server.url, tls=options))
            assert exchange.status_code == 200, exchange.error
        shown = [bool(each.writer.get_extra_info("peercert")) for each in server.connections]
        assert shown == [True, False]
        assert "for a private authority" in await refused(transport, server.url)

"""TLS is verified by default, and tells apart what is wrong."""

from __future__ import annotations

import socket
import ssl
import tempfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
import trustme

from delivery.errors import InvalidReaction
from delivery.http.tls import check_tls, context_for
from delivery.models import FailureKind, TlsOptions
from tests.support.raw_servers import OK, answering, native, request_to, serving

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    """An authority that no system trusts."""
    return trustme.CA()


@pytest.fixture(scope="module")
def trusting(authority: trustme.CA) -> TlsOptions:
    """Options that trust it."""
    return TlsOptions(ca=pem(authority.cert_pem))


def pem(blob: trustme.Blob) -> str:
    return blob.bytes().decode()


def server_context(authority: trustme.CA, *names: str) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert(*names).configure_cert(context)
    return context


@contextmanager
def refusing_server(context: ssl.SSLContext) -> Iterator[str]:
    """A server that refuses one client in the handshake.

    On blocking sockets, which tell the client why; asyncio's servers only close the connection.
    """
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def refuse() -> None:
            accepted, _ = listening.accept()
            with accepted.dup() as kept:
                with pytest.raises(ssl.SSLError):
                    context.wrap_socket(accepted, server_side=True)
                # Closing with something unread would reset the connection, and lose what was told.
                while kept.recv(65_536):
                    pass

        with ThreadPoolExecutor(1) as threads:
            refusing = threads.submit(refuse)
            yield f"https://127.0.0.1:{listening.getsockname()[1]}/"
            refusing.result()


def client_options(authority: trustme.CA) -> TlsOptions:
    certificate = authority.issue_cert("client@example.com")
    return TlsOptions(
        ca=pem(authority.cert_pem),
        client_certificate=pem(certificate.cert_chain_pems[0]),
        client_key=pem(certificate.private_key_pem),
    )


async def test_a_certificate_of_a_private_authority_is_accepted_when_it_is_named(
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
async def test_a_certificate_that_does_not_fit_is_a_tls_failure(
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


async def test_the_certificate_is_verified_for_the_host_not_for_the_address(
    authority: trustme.CA, trusting: TlsOptions
) -> None:
    context = server_context(authority, "localhost")
    async with serving(answering(OK), tls=context) as server, native() as transport:
        url = server.url.replace("127.0.0.1", "localhost")
        assert (await transport.send(request_to(url, tls=trusting))).status_code == 200


async def test_a_server_without_tls_is_a_tls_failure() -> None:
    async def handler(server: object, connected: object) -> None:
        """Close at once."""

    async with serving(answering(OK)) as plain, native() as transport:
        plain.scheme = "https"
        exchange = await transport.send(request_to(plain.url, timeout=1.0))
    assert exchange.failure_kind in {FailureKind.TLS, FailureKind.TIMEOUT}
    async with serving(handler) as closing, native() as transport:
        closing.scheme = "https"
        exchange = await transport.send(request_to(closing.url))
    assert exchange.failure_kind is FailureKind.TLS
    assert (exchange.error or "").startswith("the TLS handshake failed")


async def test_tls_older_than_1_2_is_refused(authority: trustme.CA, trusting: TlsOptions) -> None:
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
async def test_a_client_certificate_is_shown_where_one_is_asked_for(
    authority: trustme.CA, trusting: TlsOptions, version: ssl.TLSVersion
) -> None:
    context = server_context(authority, "127.0.0.1")
    authority.configure_trust(context)
    context.verify_mode = ssl.CERT_REQUIRED
    context.maximum_version = version
    with refusing_server(context) as url:
        async with native() as transport:
            # With TLS 1.3 the client learns only after the handshake that it is refused.
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


async def test_options_that_cannot_be_used_are_a_misconfigured_exchange() -> None:
    async with serving(answering(OK)) as server, native() as transport:
        server.scheme = "https"
        exchange = await transport.send(request_to(server.url, tls=TlsOptions(ca="nonsense")))
    assert exchange.failure_kind is FailureKind.MISCONFIGURED
    assert "tls.ca cannot be used" in (exchange.error or "")


def test_options_that_can_be_used_are_accepted(authority: trustme.CA) -> None:
    check_tls(TlsOptions())
    check_tls(client_options(authority))


def test_options_that_cannot_be_used_are_refused_and_no_key_is_shown(authority: trustme.CA) -> None:
    good = client_options(authority)
    other = client_options(authority)
    for bad, message in [
        (TlsOptions(ca=""), "tls.ca cannot be used"),
        (TlsOptions(ca="nonsense"), "tls.ca cannot be used"),
        (TlsOptions(ca="ü"), "tls.ca cannot be used"),
        (TlsOptions(client_key=good.client_key), "without tls.client_certificate"),
        (TlsOptions(client_certificate=good.client_certificate), "cannot be used"),
        (TlsOptions(client_certificate="x", client_key=good.client_key), "cannot be used"),
        (
            TlsOptions(client_certificate=good.client_certificate, client_key=other.client_key),
            "key values mismatch|KEY_VALUES_MISMATCH",
        ),
    ]:
        with pytest.raises(InvalidReaction, match=message) as refused:
            check_tls(bad)
        assert "PRIVATE KEY" not in str(refused.value)


def test_no_file_with_a_key_is_left_behind(
    authority: trustme.CA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    check_tls(client_options(authority))
    with pytest.raises(InvalidReaction):
        check_tls(TlsOptions(client_certificate="x", client_key="y"))
    assert not list(tmp_path.iterdir())


def test_a_context_is_made_once_for_equal_options(authority: trustme.CA) -> None:
    options = client_options(authority)
    same = TlsOptions(options.ca, options.client_certificate, options.client_key)
    assert context_for(options) is context_for(same)
    assert context_for(TlsOptions()).verify_mode is ssl.CERT_REQUIRED
    assert context_for(TlsOptions()).check_hostname

"""TLS servers, and the options of clients that trust them."""

from __future__ import annotations

import asyncio
import socket
import ssl
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

from delivery.models import TlsOptions

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import trustme

__all__ = ["client_options", "pem", "refusing_server", "server_context"]

_PATIENCE: Final = 30.0


def pem(blob: trustme.Blob) -> str:
    """Return a certificate or key as text."""
    return blob.bytes().decode()


def server_context(authority: trustme.CA, *names: str, **certificate: Any) -> ssl.SSLContext:
    """Return a server context with a certificate for `names`; see `trustme.CA.issue_cert`."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert(*names, **certificate).configure_cert(context)
    return context


def client_options(authority: trustme.CA, *, of: trustme.CA | None = None) -> TlsOptions:
    """Return options that trust `authority`, with a client certificate of `of` or `authority`."""
    certificate = (of or authority).issue_cert("client@example.com")
    return TlsOptions(
        ca=pem(authority.cert_pem),
        client_certificate=pem(certificate.cert_chain_pems[0]),
        client_key=pem(certificate.private_key_pem),
    )


@asynccontextmanager
async def refusing_server(context: ssl.SSLContext) -> AsyncIterator[str]:
    """Run a server that refuses one client in the handshake.

    It uses blocking sockets, which send the client the reason. Servers of asyncio only close the
    connection.
    """
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(_PATIENCE)

        def refuse() -> None:
            accepted, _ = listening.accept()
            accepted.settimeout(_PATIENCE)
            with accepted.dup() as second:
                second.settimeout(_PATIENCE)
                try:
                    context.wrap_socket(accepted, server_side=True)
                except ssl.SSLError:
                    pass
                else:
                    message = "the server did not refuse"
                    raise AssertionError(message)
                # A close with unread data resets the connection, and the client loses the reason.
                while second.recv(65_536):
                    pass

        with ThreadPoolExecutor(1) as threads:
            refusing = threads.submit(refuse)
            yield f"https://127.0.0.1:{listening.getsockname()[1]}/"
            # The client closes in the event loop, which must run meanwhile.
            await asyncio.wrap_future(refusing)

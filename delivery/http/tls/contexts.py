"""TLS contexts, cached by their options. Certificates are always verified."""

from __future__ import annotations

import os
import re
import ssl
import tempfile
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

from delivery.errors import InvalidReaction

if TYPE_CHECKING:
    from delivery.models import TlsOptions

__all__ = ["check_tls", "context_for", "has_authorities", "with_minimum"]

_HASHED: Final = re.compile(r"[0-9a-f]{8}\.\d+")
"""Pattern of the names of certificates in a directory of OpenSSL."""
_MINIMUM: Final = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}


def with_minimum(options: TlsOptions, version: str) -> TlsOptions:
    """Set the minimum version, unless the options have one."""
    if options.minimum_version is not None:
        return options
    return replace(options, minimum_version=version)


def check_tls(options: TlsOptions) -> None:
    """Validate certificates, key and minimum version.

    Raises:
        InvalidReaction: if a PEM text is invalid, the key does not match the certificate, or the
            minimum version is not supported.
    """
    context_for(options)


@lru_cache(maxsize=1024)
def context_for(options: TlsOptions) -> ssl.SSLContext:
    """Return the client context: TLS 1.2 or later by default; host name and chain are verified.

    Raises:
        InvalidReaction: as `check_tls`.
    """
    context = _trusting(options.ca)
    context.minimum_version = _minimum(
        "1.2" if options.minimum_version is None else options.minimum_version
    )
    context.set_alpn_protocols(["http/1.1"])
    if options.client_certificate is not None:
        _load_client_certificate(context, options.client_certificate, options.client_key or "")
    elif options.client_key is not None:
        message = "tls.client_key requires tls.client_certificate; set both or neither"
        raise InvalidReaction(message)
    return context


def has_authorities() -> bool:
    """Return whether this machine has CA certificates. Without them, https fails."""
    if ssl.create_default_context().cert_store_stats()["x509_ca"]:
        return True
    # OpenSSL loads the certificates of a directory only when it needs them.
    directory = ssl.get_default_verify_paths().capath
    if not directory:
        return False
    with os.scandir(directory) as entries:
        return any(_HASHED.fullmatch(entry.name) for entry in entries)


def _minimum(version: str) -> ssl.TLSVersion:
    try:
        return _MINIMUM[version]
    except (KeyError, TypeError):
        message = f"tls.minimum_version is {version!r}; use one of {', '.join(_MINIMUM)}"
        raise InvalidReaction(message) from None


def _trusting(ca: str | None) -> ssl.SSLContext:
    if ca is None:
        return ssl.create_default_context()
    # Replace the system's authorities: an endpoint with a private CA needs no other.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        context.load_verify_locations(cadata=ca)
    except (ssl.SSLError, ValueError, TypeError) as error:
        message = f"tls.ca is invalid: {error}; use certificates in PEM format"
        raise InvalidReaction(message) from None
    return context


def _load_client_certificate(context: ssl.SSLContext, certificate: str, key: str) -> None:
    # OpenSSL reads a chain only from a file. Only this user can read it, and it is deleted below.
    descriptor, name = tempfile.mkstemp(prefix="delivery-", suffix=".pem")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(f"{key}\n{certificate}\n")
        context.load_cert_chain(name, password=_no_password)
    except (ssl.SSLError, ValueError) as error:
        message = (
            f"tls.client_certificate or tls.client_key is invalid: {error}; use PEM format, and a"
            " key without a password"
        )
        raise InvalidReaction(message) from None
    finally:
        Path(name).unlink()


def _no_password() -> str:
    message = "the key is encrypted"
    raise ValueError(message)

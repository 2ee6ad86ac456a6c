"""TLS settings, verified by default, one context for each set of options."""

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
"""How OpenSSL names certificates in a directory."""
_MINIMUM: Final = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}


def with_minimum(options: TlsOptions, version: str) -> TlsOptions:
    """The options with this minimum version, unless they name one."""
    if options.minimum_version is not None:
        return options
    return replace(options, minimum_version=version)


def check_tls(options: TlsOptions) -> None:
    """Refuse certificates and keys that cannot be used.

    Raises:
        InvalidReaction: if one of the PEM texts cannot be read, key and certificate do not belong
            together, or the minimum version is none of those spoken.
    """
    context_for(options)


@lru_cache(maxsize=1024)
def context_for(options: TlsOptions) -> ssl.SSLContext:
    """The client's context: TLS 1.2 or later, or as the options say; host name and chain verified.

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
        message = "tls.client_key is of no use without tls.client_certificate; give both or neither"
        raise InvalidReaction(message)
    return context


def has_authorities() -> bool:
    """Return whether this machine has certificates of authorities, without which https fails."""
    if ssl.create_default_context().cert_store_stats()["x509_ca"]:
        return True
    # Those of a directory are loaded only when they are needed.
    directory = ssl.get_default_verify_paths().capath
    if not directory:
        return False
    with os.scandir(directory) as entries:
        return any(_HASHED.fullmatch(entry.name) for entry in entries)


def _minimum(version: str) -> ssl.TLSVersion:
    try:
        return _MINIMUM[version]
    except (KeyError, TypeError):
        message = f"tls.minimum_version is {version!r}, but must be one of {', '.join(_MINIMUM)}"
        raise InvalidReaction(message) from None


def _trusting(ca: str | None) -> ssl.SSLContext:
    if ca is None:
        return ssl.create_default_context()
    # Replaces the system's authorities: whoever names one wants to trust no other.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        context.load_verify_locations(cadata=ca)
    except (ssl.SSLError, ValueError, TypeError) as error:
        message = f"tls.ca cannot be used: {error}; give certificates in PEM"
        raise InvalidReaction(message) from None
    return context


def _load_client_certificate(context: ssl.SSLContext, certificate: str, key: str) -> None:
    # OpenSSL reads a chain only from a file: one that only this user can read, for a moment.
    descriptor, name = tempfile.mkstemp(prefix="delivery-", suffix=".pem")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(f"{key}\n{certificate}\n")
        context.load_cert_chain(name, password=_no_password)
    except (ssl.SSLError, ValueError) as error:
        message = (
            f"tls.client_certificate and tls.client_key cannot be used: {error}; give both in PEM,"
            " the key without a password"
        )
        raise InvalidReaction(message) from None
    finally:
        Path(name).unlink()


def _no_password() -> str:
    message = "the key is encrypted"
    raise ValueError(message)

"""What went wrong in TLS, in words that say what to do about it.

Numbers of verification errors: OpenSSL's `X509_V_ERR_…` (man page `X509_STORE_CTX_get_error`).
Names of alerts: RFC 8446, section 6.2, as OpenSSL spells them.
"""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from delivery.message.request.url import Endpoint

__all__ = ["describe_tls_error"]

_UNKNOWN_ISSUER: Final = (
    "if its authority is a private one, give the authority's certificate as tls.ca; otherwise the"
    " server must send its whole chain"
)
_NOT_FOR_HOST: Final = "call it by a name that its certificate has, or give it one for this name"
_VERIFICATION: Final = {
    9: "it is not valid yet: the clock of this machine or the certificate must be put right",
    10: "it must be renewed on the server",
    18: "it is signed by itself: give it as tls.ca if it is to be trusted",
    19: _UNKNOWN_ISSUER,
    20: _UNKNOWN_ISSUER,
    21: _UNKNOWN_ISSUER,
    23: "it was revoked: the server needs another one",
    62: _NOT_FOR_HOST,
    64: _NOT_FOR_HOST,
}

_NOT_TLS: Final = "the server does not speak TLS on this port; is http:// meant, or another port?"
_VERSION: Final = (
    "server and client have no version of TLS in common: the server must speak"
    " TLS {minimum} or later (tls.minimum_version)"
)
_NO_COMMON_CIPHER: Final = (
    "the server found nothing in common with what this client offers; the versions and ciphers"
    " that it allows must include modern ones"
)
_NEEDS_CERTIFICATE: Final = (
    "the server wants a client certificate: give one as tls.client_certificate and tls.client_key"
)
_REFUSES_CERTIFICATE: Final = (
    "the server does not accept our client certificate: tls.client_certificate must be one that it"
    " trusts, with its chain, and still valid"
)
_REASONS: Final = {
    "HTTP_REQUEST": _NOT_TLS,
    "PACKET_LENGTH_TOO_LONG": _NOT_TLS,
    "RECORD_LAYER_FAILURE": _NOT_TLS,
    "UNKNOWN_PROTOCOL": _NOT_TLS,
    "WRONG_VERSION_NUMBER": _NOT_TLS,
    "BAD_PROTOCOL_VERSION_NUMBER": _VERSION,
    "TLSV1_ALERT_PROTOCOL_VERSION": _VERSION,
    "UNSUPPORTED_PROTOCOL": _VERSION,
    "WRONG_SSL_VERSION": _VERSION,
    "TLSV1_UNRECOGNIZED_NAME": "the server does not know the host name {host}",
}
_ABOUT_OUR_CERTIFICATE: Final = frozenset(
    {
        "SSLV3_ALERT_BAD_CERTIFICATE",
        "SSLV3_ALERT_CERTIFICATE_EXPIRED",
        "SSLV3_ALERT_CERTIFICATE_REVOKED",
        "SSLV3_ALERT_CERTIFICATE_UNKNOWN",
        "SSLV3_ALERT_HANDSHAKE_FAILURE",
        "SSLV3_ALERT_UNSUPPORTED_CERTIFICATE",
        "TLSV13_ALERT_CERTIFICATE_REQUIRED",
        "TLSV1_ALERT_ACCESS_DENIED",
        "TLSV1_ALERT_DECRYPT_ERROR",
        "TLSV1_ALERT_UNKNOWN_CA",
    }
)
"""By these a server refuses a client. `handshake failure` is what servers with TLS 1.2 say of a
missing certificate, and also when they find no cipher in common."""


def describe_tls_error(error: ssl.SSLError, endpoint: Endpoint) -> str:
    """What went wrong, and what to do about it."""
    if isinstance(error, ssl.SSLCertVerificationError):
        said = error.verify_message.rstrip(".")
        advice = _VERIFICATION.get(error.verify_code)
        return _joined(f"the server's certificate is not accepted: {said}", advice)
    reason = error.reason
    advice = _REASONS.get(reason or "")
    if reason in _ABOUT_OUR_CERTIFICATE:
        if endpoint.tls.client_certificate is not None:
            advice = _REFUSES_CERTIFICATE
        else:
            advice = _NEEDS_CERTIFICATE
        if reason == "SSLV3_ALERT_HANDSHAKE_FAILURE":
            advice = f"either {advice}; or {_NO_COMMON_CIPHER}"
    if advice is not None:
        minimum = endpoint.tls.minimum_version or "1.2"
        advice = advice.format(minimum=minimum, host=endpoint.host)
    return _joined(f"the TLS handshake failed: {reason or error}", advice)


def _joined(what: str, advice: str | None) -> str:
    return what if advice is None else f"{what}; {advice}"

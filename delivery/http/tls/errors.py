"""Descriptions of TLS errors, with advice.

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
    "for a private authority, set tls.ca to its certificate; otherwise configure the server to send"
    " its whole chain"
)
_NOT_FOR_HOST: Final = "use a host name of the certificate, or install a certificate for this name"
_VERIFICATION: Final = {
    9: "it is not valid yet: check the clock of this machine and the certificate",
    10: "renew it on the server",
    18: "it is self-signed: to trust it, set tls.ca to it",
    19: _UNKNOWN_ISSUER,
    20: _UNKNOWN_ISSUER,
    21: _UNKNOWN_ISSUER,
    23: "it was revoked: install another one on the server",
    62: _NOT_FOR_HOST,
    64: _NOT_FOR_HOST,
}

_NOT_TLS: Final = "the server does not speak TLS on this port; use http:// or another port"
_VERSION: Final = (
    "server and client have no version of TLS in common: the server must support"
    " TLS {minimum} or later (tls.minimum_version)"
)
_NO_COMMON_CIPHER: Final = (
    "the server supports none of the versions and ciphers of this client; enable modern ones on the"
    " server"
)
_NEEDS_CERTIFICATE: Final = (
    "the server requires a client certificate: set tls.client_certificate and tls.client_key"
)
_REJECTS_CERTIFICATE: Final = (
    "the server rejects the client certificate: set tls.client_certificate to a valid certificate"
    " that the server trusts, with its chain"
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
_CERTIFICATE_ALERTS: Final = frozenset(
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
"""Alerts by which a server rejects a client certificate. Servers with TLS 1.2 send `handshake
failure` for a missing certificate, but also for a missing common cipher."""


def describe_tls_error(error: ssl.SSLError, endpoint: Endpoint) -> str:
    """Describe a TLS error and its remedy."""
    if isinstance(error, ssl.SSLCertVerificationError):
        reason = error.verify_message.rstrip(".")
        advice = _VERIFICATION.get(error.verify_code)
        return _joined(f"the server's certificate is not accepted: {reason}", advice)
    alert = error.reason
    advice = _REASONS.get(alert or "")
    if alert in _CERTIFICATE_ALERTS:
        if endpoint.tls.client_certificate is not None:
            advice = _REJECTS_CERTIFICATE
        else:
            advice = _NEEDS_CERTIFICATE
        if alert == "SSLV3_ALERT_HANDSHAKE_FAILURE":
            advice = f"either {advice}; or {_NO_COMMON_CIPHER}"
    if advice is not None:
        minimum = endpoint.tls.minimum_version or "1.2"
        advice = advice.format(minimum=minimum, host=endpoint.host)
    return _joined(f"the TLS handshake failed: {alert or error}", advice)


def _joined(problem: str, advice: str | None) -> str:
    return problem if advice is None else f"{problem}; {advice}"

"""Rendering of a call's requests. The parts that all messages share are rendered once."""

from __future__ import annotations

import gzip
from typing import TYPE_CHECKING, Final, NamedTuple

from delivery.message.redaction.by_name import redact_headers, redact_query
from delivery.message.request.body import content_type_of, encode_envelope, encode_fixed
from delivery.message.request.head import find_header, message_headers
from delivery.message.signing import ExpiringSigner, Signer
from delivery.models import BodyKind, Compression, HttpParams

if TYPE_CHECKING:
    from delivery.message.redaction.scrubber import Scrubber

__all__ = ["Rendered", "RequestTemplate", "find_header", "message_headers"]

_METHODS_WITHOUT_PAYLOAD: Final = frozenset({"DELETE", "GET", "HEAD", "OPTIONS"})
"""Methods whose body has no defined meaning (RFC 9110, 9.3). They send no payload by default."""


class Rendered(NamedTuple):
    """Request that is ready to send, with its storable form."""

    head: bytes
    """Request line and headers, including the empty line."""
    stored_head: bytes
    """Head with secrets as `***`; the same object as `head` if it has no secrets."""
    body: bytes
    plain_body: bytes
    """Body before compression."""
    scrubber: Scrubber | None = None
    """Scrubber of the secrets that only this request has."""
    redacted_url: str | None = None
    """Redacted URL, if it differs between jobs."""


class RequestTemplate:
    """Request of a reaction version or of a direct job.

    Args:
        params: Valid call.
        host: Value of the Host header.
        target: Path and query to send.
        stored_target: Redacted path and query; None: redact `target`.
        user_agent: User-Agent, unless `params` has one.
        signer: Signer of the requests; None: sign with the secrets of `params`, if any.
        scrubber: Scrubber of known secrets in the stored head.
        fixed_body: Filled-in body, if `params.body` has placeholders.

    Raises:
        InvalidSecret, InvalidReaction: if `params` has an invalid secret or body.
    """

    __slots__ = (
        "_end",
        "_fixed_body",
        "_has_length",
        "_is_envelope",
        "_signer",
        "_start",
        "_stored_end",
        "_stored_start",
        "is_compressed",
        "sends_payload",
    )

    def __init__(
        self,
        params: HttpParams,
        *,
        host: str,
        target: str,
        user_agent: str,
        stored_target: str | None = None,
        signer: Signer | ExpiringSigner | None = None,
        scrubber: Scrubber | None = None,
        fixed_body: bytes | None = None,
    ) -> None:
        without_payload = params.method in _METHODS_WITHOUT_PAYLOAD
        kind = params.body.kind
        if kind is BodyKind.PAYLOAD and without_payload:
            kind = BodyKind.NONE
        self.sends_payload: bool = kind is BodyKind.PAYLOAD
        """True if the body is exactly the payload."""
        self._is_envelope = kind is BodyKind.ENVELOPE
        if fixed_body is None:
            varies = self.sends_payload or self._is_envelope
            fixed_body = b"" if varies else encode_fixed(params.body)
        self._fixed_body = fixed_body
        self.is_compressed: bool = (
            params.compression is Compression.GZIP and kind is not BodyKind.NONE
        )
        """True if the body is compressed for each message."""
        # A POST without a body sends Content-Length: 0, a GET does not (RFC 9110, 8.6).
        self._has_length = kind is not BodyKind.NONE or not without_payload
        self._signer = signer or (Signer(params.secrets) if params.secrets else None)
        if stored_target is None:
            stored_target = redact_query(target)
        content_type = None if kind is BodyKind.NONE else content_type_of(params.body)
        default_headers = _default_headers(params, host, user_agent, content_type)
        if self.is_compressed:
            default_headers.append(("Content-Encoding", "gzip"))
        self._start = _lines(f"{params.method} {target} HTTP/1.1", default_headers)
        self._end = _lines("", params.headers) + "\r\n"
        stored_headers = redact_headers(params.headers)
        if scrubber is not None:
            stored_target = scrubber.scrub_text(stored_target)
            stored_headers = tuple(
                (name, scrubber.scrub_text(value)) for name, value in stored_headers
            )
        self._stored_start: str | None = None
        self._stored_end = ""
        if stored_target != target or stored_headers != params.headers:
            self._stored_start = _lines(
                f"{params.method} {stored_target} HTTP/1.1", default_headers
            )
            self._stored_end = _lines("", stored_headers) + "\r\n"

    def render(
        self,
        message_id: str,
        timestamp: int,
        event_type: str,
        created_at: float,
        payload: bytes,
    ) -> Rendered:
        """Render one request.

        Args:
            message_id: `webhook-id` of all attempts; ASCII.
            timestamp: `webhook-timestamp`: time of this attempt, in seconds since the epoch.
            event_type: Event type of the trigger, for an envelope.
            created_at: Creation time of the trigger or direct job, in seconds since the epoch, for
                an envelope.
            payload: JSON, sent unchanged.
        """
        if self.sends_payload:
            body = payload
        elif self._is_envelope:
            body = encode_envelope(event_type, created_at, payload)
        else:
            body = self._fixed_body
        plain_body = body
        if self.is_compressed:
            # Without a time in the gzip header, each attempt sends the same bytes.
            body = gzip.compress(body, mtime=0)
        varying = f"webhook-id: {message_id}\r\nwebhook-timestamp: {timestamp}"
        if self._has_length:
            varying = f"Content-Length: {len(body)}\r\n{varying}"
        if self._signer is not None:
            signature = self._signer.sign(message_id, timestamp, body).decode("ascii")
            varying = f"{varying}\r\nwebhook-signature: {signature}"
        head = f"{self._start}{varying}{self._end}".encode("latin-1")
        if self._stored_start is None:
            return Rendered(head, head, body, plain_body)
        stored = f"{self._stored_start}{varying}{self._stored_end}".encode("latin-1")
        return Rendered(head, stored, body, plain_body)


def _default_headers(
    params: HttpParams, host: str, user_agent: str, content_type: str | None
) -> list[tuple[str, str]]:
    """Return the constant default headers, except those that the call sets itself."""
    given = {name.lower() for name, _ in params.headers}
    default_headers = [
        ("Host", host),
        ("User-Agent", user_agent),
        ("Accept", "*/*"),
        ("Accept-Encoding", "gzip, deflate"),
    ]
    if content_type is not None:
        default_headers.append(("Content-Type", content_type))
    return [(name, value) for name, value in default_headers if name.lower() not in given]


def _lines(first: str, headers: list[tuple[str, str]] | tuple[tuple[str, str], ...]) -> str:
    return "".join([f"{first}\r\n", *(f"{name}: {value}\r\n" for name, value in headers)])

"""The request of a call: what its messages share is made once, the rest for each message."""

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
"""With these a body has no defined meaning (RFC 9110, 9.3), so only one asked for is sent."""


class Rendered(NamedTuple):
    """One request, ready to send, and what of it may be stored."""

    head: bytes
    """Request line and headers, with the empty line."""
    stored_head: bytes
    """The same with secrets as `***`; the same object as `head` if it has none."""
    body: bytes
    plain_body: bytes
    """The body before it was compressed."""
    scrubber: Scrubber | None = None
    """Finds what is secret in this request only."""
    redacted_url: str | None = None
    """The URL as it may be stored, where that is not the same for all jobs."""


class RequestTemplate:
    """The request of a reaction's version or of a direct job.

    Args:
        params: A valid call.
        host: The value of Host.
        target: Path and query, as sent.
        stored_target: Path and query as they may be stored; None: `target` redacted.
        user_agent: The User-Agent, unless `params` has one.
        signer: Signs; None: the secrets of `params` do, if there are any.
        scrubber: Takes known secrets out of what may be stored.
        fixed_body: The body, where `params.body` has placeholders that were filled in.

    Raises:
        InvalidSecret, InvalidReaction: if `params` has a secret or body that cannot be used.
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
        """Whether the body is exactly the payload."""
        self._is_envelope = kind is BodyKind.ENVELOPE
        if fixed_body is None:
            varies = self.sends_payload or self._is_envelope
            fixed_body = b"" if varies else encode_fixed(params.body)
        self._fixed_body = fixed_body
        self.is_compressed: bool = (
            params.compression is Compression.GZIP and kind is not BodyKind.NONE
        )
        """Whether the body is compressed for each message."""
        # A POST without a body says so; a GET says nothing (RFC 9110, 8.6).
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
        """One request.

        Args:
            message_id: The `webhook-id`, the same over all attempts; ASCII.
            timestamp: The `webhook-timestamp`: when this attempt is made, in seconds since the
                epoch.
            event_type: The trigger's type, for an envelope.
            created_at: When the trigger or direct job was made, in seconds since the epoch, for an
                envelope.
            payload: JSON, sent as it is.
        """
        if self.sends_payload:
            body = payload
        elif self._is_envelope:
            body = encode_envelope(event_type, created_at, payload)
        else:
            body = self._fixed_body
        plain_body = body
        if self.is_compressed:
            # No time in it: the same message has the same bytes each time it is sent.
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
    """The headers that the engine sets, but for those that vary, without what the user set."""
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

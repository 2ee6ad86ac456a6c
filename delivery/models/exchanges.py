"""Result of an HTTP call, and its representation in the delivery log."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID

    from delivery.models.enums import FailureKind, Outcome

__all__ = [
    "LONG_RESPONSE",
    "DeliveryLog",
    "Exchange",
    "HttpMessage",
    "Redirect",
    "RequestPreview",
    "TestCall",
    "Timings",
]

LONG_RESPONSE: Final = 8_192
"""Size of a head or body in bytes above which a search in it may take milliseconds."""


@dataclass(frozen=True, slots=True)
class Timings:
    """Durations of the steps of an exchange in milliseconds. None for a step that did not occur."""

    dns_ms: float | None = None
    connect_ms: float | None = None
    tls_ms: float | None = None
    send_ms: float | None = None
    first_byte_ms: float | None = None
    """From the end of sending to the first byte of the response."""
    total_ms: float = 0.0


@dataclass(frozen=True, slots=True)
class HttpMessage:
    """Request or response in the delivery log. Secrets are redacted."""

    headers: tuple[tuple[str, str], ...]
    body: bytes
    body_size: int
    """Number of bytes sent or received, before `body` was truncated for storage."""
    truncated: bool
    """True if `body` is only the beginning of the body that was sent or received."""


@dataclass(frozen=True, slots=True)
class Redirect:
    """Redirect that was followed."""

    status_code: int
    location: str
    """Target as in the response, with secrets redacted."""


@dataclass(frozen=True, slots=True)
class DeliveryLog:
    """Record of one attempt: the request, and the response or the failure."""

    id: UUID
    tenant_id: str
    job_id: UUID
    trigger_id: UUID | None
    reaction_id: UUID | None
    attempt: int
    outcome: Outcome
    method: str
    endpoint: str
    """URL of the request, without credentials."""
    request: HttpMessage | None
    """None for a lost attempt."""
    response: HttpMessage | None
    """None without a response."""
    status_code: int | None
    failure_kind: FailureKind | None
    error: str | None
    duration_ms: float | None
    timings: Timings | None
    remote_address: str | None
    reused: bool | None
    """True if the exchange reused an open connection."""
    worker_id: UUID | None
    created_at: datetime
    redirects: tuple[Redirect, ...] = ()
    """Redirects that were followed, in order. `response` is the response to the last one."""


@dataclass(slots=True)
class Exchange:
    """Result of one HTTP call, before the decision about its job.

    Not frozen, unlike the other models: the transport fills it in while bytes arrive, and creating
    a frozen dataclass with this number of fields for every delivery costs several times as much.
    """

    status_code: int | None = None
    failure_kind: FailureKind | None = None
    """Reason for an incomplete response. None for a complete one."""
    error: str | None = None
    response_head: bytes = b""
    """Status line and headers as received, without the empty line."""
    response_body: bytes = b""
    """Decompressed body, up to the limit."""
    response_size: int = 0
    """Number of bytes of the body that were read, before `response_body` was truncated."""
    truncated: bool = False
    dns_ms: float | None = None
    connect_ms: float | None = None
    tls_ms: float | None = None
    send_ms: float | None = None
    first_byte_ms: float | None = None
    total_ms: float = 0.0
    remote_address: str | None = None
    reused: bool = False
    earlier_heads: bytes = b""
    """Heads of the redirects that led to this response, each followed by an empty line. Secrets are
    redacted."""
    waited_ms: float = 0.0
    """Time for which the call waited for a connection. Not included in `total_ms`."""

    @property
    def may_have_arrived(self) -> bool:
        """True if at least one request was sent, so the endpoint may have received it."""
        return bool(
            self.send_ms is not None or self.first_byte_ms is not None or self.earlier_heads
        )


@dataclass(frozen=True, slots=True)
class RequestPreview:
    """Request that a reaction would send for an event."""

    method: str
    url: str
    headers: tuple[tuple[str, str], ...]
    body: bytes
    """Body before compression."""
    body_size: int
    """Number of bytes sent, after compression."""


@dataclass(frozen=True, slots=True)
class TestCall:
    """Result of a test call of a reaction."""

    __test__ = False
    """Prevents pytest from collecting the class as a test."""

    request: RequestPreview
    response: HttpMessage | None
    status_code: int | None
    failure_kind: FailureKind | None
    """Reason for an incomplete response."""
    error: str | None
    succeeded: bool
    """True if the response is a success by the rules of the reaction."""
    duration_ms: float
    remote_address: str | None

"""What one HTTP call produced, and how it is shown."""

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
"""Bytes of a head or a body above which looking through it may take milliseconds."""


@dataclass(frozen=True, slots=True)
class Timings:
    """Milliseconds from one point of an exchange to the next; None: that step did not happen."""

    dns_ms: float | None = None
    connect_ms: float | None = None
    tls_ms: float | None = None
    send_ms: float | None = None
    first_byte_ms: float | None = None
    """From the end of sending to the answer's first byte."""
    total_ms: float = 0.0


@dataclass(frozen=True, slots=True)
class HttpMessage:
    """A request or response as it is shown."""

    headers: tuple[tuple[str, str], ...]
    body: bytes
    body_size: int
    """Bytes sent or received, before `body` was cut for storage."""
    truncated: bool
    """Whether `body` is shorter than what was sent or received."""


@dataclass(frozen=True, slots=True)
class Redirect:
    """A redirect that was followed."""

    status_code: int
    location: str
    """Where it led, as it was given, but for what looks secret in it."""


@dataclass(frozen=True, slots=True)
class DeliveryLog:
    """One HTTP exchange: the request made, and the answer or what went wrong."""

    id: UUID
    tenant_id: str
    job_id: UUID
    trigger_id: UUID | None
    reaction_id: UUID | None
    attempt: int
    outcome: Outcome
    method: str
    endpoint: str
    """The URL called, without credentials."""
    request: HttpMessage | None
    """None for an attempt that was lost."""
    response: HttpMessage | None
    """None when there was no answer."""
    status_code: int | None
    failure_kind: FailureKind | None
    error: str | None
    duration_ms: float | None
    timings: Timings | None
    remote_address: str | None
    reused: bool | None
    """Whether the exchange went over a connection that was already open."""
    worker_id: UUID | None
    created_at: datetime
    redirects: tuple[Redirect, ...] = ()
    """Those that were followed, in order; `response` is what the last of them led to."""


@dataclass(slots=True)
class Exchange:
    """What one HTTP call produced, before anything is decided about it.

    Not frozen, unlike its neighbours: the transport fills it in while bytes arrive, one is made for
    every delivery, and a frozen dataclass of this width costs several times as much to make.
    """

    status_code: int | None = None
    failure_kind: FailureKind | None = None
    """Set when there was no complete answer; None when `status_code` tells all."""
    error: str | None = None
    response_head: bytes = b""
    """Status line and headers as received, up to the cap, without the empty line."""
    response_body: bytes = b""
    """Decompressed, up to the cap."""
    response_size: int = 0
    """Bytes of the body as read, before `response_body` was cut."""
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
    """The heads of redirects that led to this response, each with an empty line behind it; what
    looks secret in them is redacted."""
    waited_ms: float = 0.0
    """How long the call waited for a connection; not a part of `total_ms`."""

    @property
    def may_have_arrived(self) -> bool:
        """Whether at least one request was written, so that the endpoint may have received it."""
        return bool(
            self.send_ms is not None or self.first_byte_ms is not None or self.earlier_heads
        )


@dataclass(frozen=True, slots=True)
class RequestPreview:
    """The request that a reaction makes for an event."""

    method: str
    url: str
    headers: tuple[tuple[str, str], ...]
    body: bytes
    """Before it is compressed, if it is."""
    body_size: int
    """Bytes as they are sent."""


@dataclass(frozen=True, slots=True)
class TestCall:
    """What came of a call that was made to try a reaction."""

    __test__ = False
    """Not a test of pytest's, in spite of its name."""

    request: RequestPreview
    response: HttpMessage | None
    status_code: int | None
    failure_kind: FailureKind | None
    """Set when there was no complete answer."""
    error: str | None
    succeeded: bool
    """Whether the answer is a success by the reaction's rules."""
    duration_ms: float
    remote_address: str | None

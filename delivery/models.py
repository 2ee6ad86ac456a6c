"""The nouns of the engine: frozen, slotted dataclasses and the words they may use.

The same names stand in SQL, Python, JSON and the command line. Durations are seconds as floats
unless the name ends in `_ms`. Times are aware datetimes, taken from the database's clock.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID

__all__ = [
    "Body",
    "BodyKind",
    "DeliveryLog",
    "Exchange",
    "FailureKind",
    "HttpMessage",
    "HttpParams",
    "Job",
    "JobStatus",
    "Outcome",
    "Page",
    "RateLimit",
    "Reaction",
    "ReactionState",
    "RetryPolicy",
    "RetryStrategy",
    "StatusAction",
    "Timings",
    "TlsOptions",
    "Trigger",
]

T = TypeVar("T")


class JobStatus(StrEnum):
    """Where a job stands; `delivery.lifecycle` holds the legal transitions."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    RETRYING = "retrying"
    CANCELED = "canceled"
    SUSPENDED = "suspended"
    SKIPPED = "skipped"


class FailureKind(StrEnum):
    """Why an attempt, or the job as a whole, failed."""

    HTTP_STATUS = "http_status"
    TRANSPORT = "transport"
    TLS = "tls"
    DNS = "dns"
    TIMEOUT = "timeout"
    DEADLINE = "deadline"
    STALLED = "stalled"
    BLOCKED = "blocked"
    GONE = "gone"
    MISCONFIGURED = "misconfigured"
    HANDLER = "handler"
    INTERNAL = "internal"


class Outcome(StrEnum):
    """What one attempt led to.

    `late` marks an exchange whose worker had lost its lease when it was recorded, so it changed
    nothing; `lost` an attempt of which nothing is known, because its worker died.
    """

    SUCCEEDED = "succeeded"
    RETRIED = "retried"
    FAILED = "failed"
    LATE = "late"
    LOST = "lost"


class ReactionState(StrEnum):
    """Whether a reaction takes part in fan-out."""

    ENABLED = "enabled"
    DISABLED = "disabled"
    DELETED = "deleted"


class RetryStrategy(StrEnum):
    """How the delay grows from one attempt to the next."""

    CONSTANT = "constant"
    LINEAR = "linear"
    EXPONENTIAL = "exponential"
    SCHEDULE = "schedule"


class StatusAction(StrEnum):
    """What an HTTP status leads to, for `HttpParams.status_actions`."""

    SUCCEED = "succeed"
    RETRY = "retry"
    FAIL = "fail"


class BodyKind(StrEnum):
    """What is sent as the request's body."""

    PAYLOAD = "payload"
    """The trigger's payload, byte for byte."""
    ENVELOPE = "envelope"
    """`{"type", "timestamp", "data"}` around the payload."""
    JSON = "json"
    FORM = "form"
    RAW = "raw"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Body:
    """The body of a request: `content` is a JSON value, a flat mapping (form) or a text (raw)."""

    kind: BodyKind = BodyKind.PAYLOAD
    content: Any = None
    content_type: str | None = None
    """None: by kind (`application/json`, `application/x-www-form-urlencoded`, `text/plain`)."""


@dataclass(frozen=True, slots=True)
class TlsOptions:
    """What is used beyond the system's trust store; all three are PEM texts."""

    ca: str | None = None
    """Certificates of private authorities, trusted instead of the system's."""
    client_certificate: str | None = None
    client_key: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """When a failed attempt is tried again; see `delivery.policy.retry` for the formula.

    With the defaults the delays are 10 s, 30 s, 90 s, 4.5 min, 13.5 min, 40.5 min, 2 h, 6 h and 6
    h, each varied by up to ±20 %: ten attempts within about fifteen hours.
    """

    max_attempts: int = 10
    strategy: RetryStrategy = RetryStrategy.EXPONENTIAL
    base: float = 10.0
    """Seconds before the second attempt."""
    factor: float = 3.0
    max: float = 21_600.0
    """No delay is longer than this many seconds, Retry-After included."""
    jitter: float = 0.2
    """A delay d is drawn evenly from d * (1 - jitter) to d * (1 + jitter)."""
    max_elapsed: float | None = None
    """No attempt starts later than this many seconds after the job was made."""
    schedule: tuple[float, ...] = ()
    """For the strategy `schedule`: the delays one by one; the last one repeats."""


@dataclass(frozen=True, slots=True)
class RateLimit:
    """At most `limit` calls begin within any `period`, over all workers together."""

    limit: int
    period: float = 1.0
    """Seconds."""


@dataclass(frozen=True, slots=True)
class HttpParams:
    """The HTTP call of a reaction or direct job."""

    url: str
    method: str = "POST"
    headers: tuple[tuple[str, str], ...] = ()
    body: Body = Body()
    timeout: float | None = None
    """Seconds for the whole exchange, DNS to last byte; None: `http.timeout`."""
    connect_timeout: float | None = None
    """Seconds for DNS, TCP and TLS together; None: `http.connect_timeout`."""
    retry: RetryPolicy = RetryPolicy()
    status_actions: tuple[tuple[str, StatusAction], ...] = ()
    """Exceptions to the outcome rules: a status (`"404"`) or class (`"5xx"`), and what it means."""
    concurrency: int | None = None
    """Calls in flight at once, over all workers together; None: `worker.reaction_concurrency` in
    each process. Of a direct job: those of its tenant and origin in one process."""
    rate_limit: RateLimit | None = None
    """For reactions only; jobs over the limit wait, and use up no attempt by it."""
    ordered: bool = False
    """For reactions only: one call at a time, over all workers, in the order of the jobs; a job
    that failed holds up those behind it until it is terminal."""
    tls: TlsOptions = TlsOptions()
    secrets: tuple[str, ...] = field(default=(), repr=False)
    """Signing secrets (`whsec_…`), newest first; each adds a signature."""


@dataclass(frozen=True, slots=True)
class Reaction:
    """What to do about triggers of certain types: an HTTP call to make for each."""

    id: UUID
    tenant_id: str
    area_id: str | None
    name: str
    event_types: tuple[str, ...]
    """Exact names, dotted prefixes (`order.*`), or `*`."""
    condition: str | None
    """A JMESPath expression over the payload; the reaction matches where it is truthy."""
    params: HttpParams
    priority: int
    """Lower runs first within the reaction's lane; 0 to 32767."""
    state: ReactionState
    state_reason: str | None
    version: int
    """Grows with every change of what is sent; jobs keep the version they were made with."""
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class Trigger:
    """One occurrence, and the jobs it fanned out into."""

    id: UUID
    tenant_id: str
    type: str
    payload: bytes
    """JSON, as it was given."""
    created_at: datetime
    jobs: tuple[UUID, ...] = ()
    """Ids of its jobs, in reaction order."""


@dataclass(frozen=True, slots=True)
class Job:
    """One call to make for one trigger, and how it stands."""

    id: UUID
    tenant_id: str
    user_id: str | None
    trigger_id: UUID | None
    reaction_id: UUID | None
    reaction_version: int | None
    priority: int
    status: JobStatus
    attempt: int
    """Attempts begun so far, the running one included."""
    max_attempts: int
    run_at: datetime
    """When it is, or was last, due."""
    deadline: datetime | None
    failure_kind: FailureKind | None
    exhausted: bool
    """Whether it failed because its attempts were used up."""
    status_code: int | None
    """The last answer's status."""
    error: str | None
    stalls: int
    """How often the worker that held it died."""
    locked_by: UUID | None
    """The worker that runs it now."""
    locked_at: datetime | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    updated_at: datetime


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


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """One page of a listing."""

    items: tuple[T, ...]
    next_cursor: str | None
    """Give it as `cursor` to read on; None at the end."""

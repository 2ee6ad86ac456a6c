"""Enums of states, kinds and outcomes."""

from __future__ import annotations

from enum import StrEnum

__all__ = [
    "BodyKind",
    "CircuitState",
    "Compression",
    "EngineEventType",
    "FailureKind",
    "JobStatus",
    "Outcome",
    "ReactionState",
    "RetryStrategy",
    "SignatureKind",
    "StatusAction",
    "TriggerState",
]


class JobStatus(StrEnum):
    """Status of a job; `delivery.lifecycle` has the legal transitions."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    RETRYING = "retrying"
    CANCELED = "canceled"
    SUSPENDED = "suspended"
    SKIPPED = "skipped"


class TriggerState(StrEnum):
    """Combined state of a trigger's jobs, computed by `delivery.lifecycle.trigger_state`."""

    NO_JOBS = "no_jobs"
    """No reaction matched."""
    PENDING = "pending"
    """At least one job is not finished."""
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELED = "canceled"
    SKIPPED = "skipped"
    MIXED = "mixed"
    """All jobs are finished, with different statuses."""


class FailureKind(StrEnum):
    """Reason for the failure of an attempt or job."""

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
    LOCAL = "local"
    """The worker's machine lacks a resource. Never recorded, because the job was not attempted."""

    @classmethod
    def of_stored(cls, text: str | None) -> FailureKind | None:
        """Convert a stored kind. A kind of a newer version of the engine becomes `INTERNAL`."""
        if text is None:
            return None
        return cls(text) if text in cls._value2member_map_ else cls.INTERNAL


class Outcome(StrEnum):
    """Outcome of an attempt.

    `late` marks an attempt without effect: when it was recorded, its worker had lost the lease, or
    the job no longer existed. `lost` marks an attempt with an unknown result, because its worker
    died.
    """

    SUCCEEDED = "succeeded"
    RETRIED = "retried"
    FAILED = "failed"
    LATE = "late"
    LOST = "lost"


class ReactionState(StrEnum):
    """State of a reaction. Only enabled reactions take part in fan-out."""

    ENABLED = "enabled"
    DISABLED = "disabled"
    DELETED = "deleted"


class RetryStrategy(StrEnum):
    """Growth of the delay from one attempt to the next."""

    CONSTANT = "constant"
    LINEAR = "linear"
    EXPONENTIAL = "exponential"
    SCHEDULE = "schedule"


class StatusAction(StrEnum):
    """Action for an HTTP status, for `HttpParams.status_actions`."""

    SUCCEED = "succeed"
    RETRY = "retry"
    FAIL = "fail"


class SignatureKind(StrEnum):
    """Signature scheme of a signing secret, by its identifier in Standard Webhooks."""

    V1 = "v1"
    """HMAC-SHA256. Receivers have the same secret, `whsec_…`."""
    V1A = "v1a"
    """ed25519. Receivers have the public key `whpk_…` of the secret `whsk_…`."""


class BodyKind(StrEnum):
    """Kind of a request's body."""

    PAYLOAD = "payload"
    """The trigger's payload, byte for byte."""
    ENVELOPE = "envelope"
    """`{"type", "timestamp", "data"}` around the payload."""
    JSON = "json"
    FORM = "form"
    RAW = "raw"
    NONE = "none"


class Compression(StrEnum):
    """Compression of a request's body."""

    GZIP = "gzip"


class CircuitState(StrEnum):
    """State of a reaction's circuit breaker; see `delivery.policy.endpoint_health`."""

    CLOSED = "closed"
    """Calls are made as usual."""
    OPEN = "open"
    """Calls are suspended."""
    HALF_OPEN = "half_open"
    """One call at a time probes the endpoint."""


class EngineEventType(StrEnum):
    """Event types of operational triggers, which the engine raises."""

    REACTION_FAILING = "reaction.failing"
    """The circuit of the reaction has opened, so calls are suspended."""
    REACTION_RECOVERED = "reaction.recovered"
    """The circuit has closed, so calls are made again."""
    REACTION_DISABLED = "reaction.disabled"
    """The engine has disabled the reaction: its endpoint failed for too long or returned 410."""
    JOB_EXHAUSTED = "job.exhausted"
    """A job has used up its attempts or its `max_elapsed`."""

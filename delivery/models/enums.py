"""The words that records may use for how things stand."""

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
    """Where a job stands; `delivery.lifecycle` holds the legal transitions."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    RETRYING = "retrying"
    CANCELED = "canceled"
    SUSPENDED = "suspended"
    SKIPPED = "skipped"


class TriggerState(StrEnum):
    """The combined state of a trigger's jobs; `delivery.lifecycle.trigger_state` derives it."""

    NO_JOBS = "no_jobs"
    """No reaction matched."""
    PENDING = "pending"
    """At least one job is not finished."""
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELED = "canceled"
    SKIPPED = "skipped"
    MIXED = "mixed"
    """All jobs are finished, but not all in the same way."""


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
    LOCAL = "local"
    """The worker's own machine lacks something; never recorded, as it is no attempt."""

    @classmethod
    def of_stored(cls, text: str | None) -> FailureKind | None:
        """Return the stored kind; `INTERNAL` for one that a newer version of the engine wrote."""
        if text is None:
            return None
        return cls(text) if text in cls._value2member_map_ else cls.INTERNAL


class Outcome(StrEnum):
    """What one attempt led to.

    `late` marks an exchange that changed nothing, because its worker had lost its lease, or the job
    was gone, when it was recorded; `lost` an attempt of which nothing is known, because its worker
    died.
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


class SignatureKind(StrEnum):
    """How a signing secret signs, by the word that Standard Webhooks has for it."""

    V1 = "v1"
    """HMAC-SHA256; receivers hold the same secret, `whsec_…`."""
    V1A = "v1a"
    """ed25519; receivers hold the public key, `whpk_…`, of the secret `whsk_…`."""


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


class Compression(StrEnum):
    """How a request's body is compressed."""

    GZIP = "gzip"


class CircuitState(StrEnum):
    """Whether calls are made to a reaction's endpoint; see `delivery.policy.endpoint_health`."""

    CLOSED = "closed"
    """As usual."""
    OPEN = "open"
    """No call is made for a while."""
    HALF_OPEN = "half_open"
    """One call at a time tries if the endpoint works again."""


class EngineEventType(StrEnum):
    """Event types of the engine's own triggers."""

    REACTION_FAILING = "reaction.failing"
    """The circuit of the reaction has opened; calls are suspended."""
    REACTION_RECOVERED = "reaction.recovered"
    """The circuit has closed; the endpoint accepts calls again."""
    REACTION_DISABLED = "reaction.disabled"
    """The engine has disabled the reaction: its endpoint failed for too long or returned 410."""
    JOB_EXHAUSTED = "job.exhausted"
    """A job has used up its attempts or its `max_elapsed`."""
